/** libnftables in this process: no program is started. */
import { inside, type Namespace } from '../namespace/namespace';
import { takeBackLowDescriptor, withLowDescriptor } from '../platform/descriptors';
import { Exit, Failure } from '../platform/failure';
import { nativeCalls, withoutStandardError } from '../platform/libc';
import { type Engine, NftRefusal, type Session, type TableName } from './engine';

/** nftables/libnftables.h */
const NFT_CTX_DEFAULT = 0;
const NFT_CTX_OUTPUT = { STATELESS: 1 << 2, JSON: 1 << 4, NUMERIC_PRIO: 1 << 8 } as const;

type Context = object;

interface Library {
  create(flags: number): Context | null;
  free(context: Context): void;
  setOutputFlags(context: Context, flags: number): void;
  bufferOutput(context: Context): number;
  bufferErrors(context: Context): number;
  run(context: Context, text: string): number;
  output(context: Context): string;
  errors(context: Context): string;
}

let library: Library | undefined;

/**
 * @returns the engine that calls libnftables through koffi
 * @throws Failure `no-libnftables` when the library is not installed
 */
export function libnftables(): Engine {
  library ??= loadLibrary();
  const nft = library;
  return { name: 'libnftables', open: (namespace) => openSession(nft, namespace) };
}

function loadLibrary(): Library {
  const koffi = nativeCalls();
  let shared: ReturnType<typeof koffi.load>;
  try {
    shared = koffi.load('libnftables.so.1');
  } catch (cause) {
    throw new Failure('no-libnftables', Exit.unsupported, `libnftables.so.1 cannot be loaded: ${cause}`, {
      suggestions: ['install it: apt-get install libnftables1', 'or set NETFREEZE_ENGINE=nft to use the nft program'],
      cause,
    });
  }
  return {
    create: shared.func('void *nft_ctx_new(uint32_t flags)'),
    free: shared.func('void nft_ctx_free(void *ctx)'),
    setOutputFlags: shared.func('void nft_ctx_output_set_flags(void *ctx, unsigned int flags)'),
    bufferOutput: shared.func('int nft_ctx_buffer_output(void *ctx)'),
    bufferErrors: shared.func('int nft_ctx_buffer_error(void *ctx)'),
    run: shared.func('int nft_run_cmd_from_buffer(void *ctx, const char *text)'),
    output: shared.func('const char *nft_ctx_get_output_buffer(void *ctx)'),
    errors: shared.func('const char *nft_ctx_get_error_buffer(void *ctx)'),
  };
}

/** Contexts that are open, the oldest first. Each has a descriptor, of those that it can use there are few. */
const open = new Map<Namespace, Context>();
const mostOpen = 32;

/** @returns the context of a namespace, opened where it is not */
function contextIn(nft: Library, namespace: Namespace): Context {
  const found = open.get(namespace);
  if (found) return found;
  const [oldest] = open.keys();
  if (oldest && open.size >= mostOpen) closeContext(nft, oldest);
  const context = inside(namespace, () => withLowDescriptor(() => nft.create(NFT_CTX_DEFAULT)));
  if (context === null) {
    throw new Failure('no-nft-context', Exit.unexpected, 'libnftables could not open a context (out of memory?)');
  }
  open.set(namespace, context);
  nft.bufferOutput(context);
  nft.bufferErrors(context);
  return context;
}

function closeContext(nft: Library, namespace: Namespace): void {
  const context = open.get(namespace);
  if (!context) return;
  open.delete(namespace);
  nft.free(context);
  takeBackLowDescriptor();
}

function openSession(nft: Library, namespace: Namespace): Session {
  // Names of devices are looked up in the namespace that is current, so each command runs inside.
  const run = (text: string, flags: number): string => {
    const context = contextIn(nft, namespace);
    return inside(namespace, () => {
      nft.setOutputFlags(context, flags);
      // libxtables, which it asks about iptables' targets, talks past the buffers.
      const status = withoutStandardError(() => nft.run(context, text));
      const output = nft.output(context);
      const errors = nft.errors(context);
      if (status !== 0) throw new NftRefusal(errors, text);
      return output;
    });
  };

  const list = ({ family, name }: TableName, flags: number) =>
    run(`list table ${family} ${name}`, flags | NFT_CTX_OUTPUT.NUMERIC_PRIO);

  return {
    async load(text) {
      run(text, 0);
    },
    async listJson(tables) {
      return tables.map((table) => list(table, NFT_CTX_OUTPUT.JSON));
    },
    async listText(tables) {
      return tables.map((table) => list(table, NFT_CTX_OUTPUT.STATELESS)).join('');
    },
    close: () => closeContext(nft, namespace),
  };
}
