/**
 * Which lock of its own CRIU puts on the network beside ours. At `network-lock` it is not there yet, so it is read from what
 * CRIU was told: its arguments, or its configuration files; on restore from the image, where CRIU itself reads it.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Exit, Failure } from '../../platform/failure';
import type { Caller } from './caller';

/** `--network-lock` of criu(8); `skip` is known since 3.19. */
const locks = ['iptables', 'nftables', 'skip'] as const;
export type OwnLock = (typeof locks)[number];

export interface FoundLock {
  /** null: nothing says, so it is CRIU's default, which is a lock. */
  lock: OwnLock | null;
  /** Where it was found, for people. */
  where: string;
}

/** @returns what the CRIU that dumps was told; what comes later in its own order wins */
export function lockOfDump({ args, startedBy }: Caller, env: NodeJS.ProcessEnv = process.env): FoundLock {
  const given = lockIn(args);
  const isService = args[1] === 'swrk' || args[1] === 'service';
  // What an engine says through a service's socket can't be seen, but its own file comes last and wins.
  const engine = isService && startedBy !== '' ? [`/etc/criu/${startedBy}.conf`] : [];
  for (const file of engine) {
    const lock = lockInFile(file);
    if (lock) return { lock, where: file };
  }
  if (given) return { lock: given, where: "CRIU's arguments" };
  for (const file of configFiles(args, env)) {
    const lock = lockInFile(file);
    if (lock) return { lock, where: file };
  }
  return { lock: null, where: isService ? "neither CRIU's arguments nor its files" : "CRIU's default" };
}

/** @returns what the dump that made an image was told (images/inventory.proto) */
export function lockOfImage(directory: string): FoundLock {
  const file = join(directory, 'inventory.img');
  try {
    const image = readFileSync(file);
    // Two magic numbers and the length of the entry stand in front.
    const method = varintOf(image.subarray(12), 11);
    return { lock: method === null ? 'iptables' : (locks[method] ?? null), where: 'the image' };
  } catch {
    return { lock: null, where: 'nothing: the image could not be read' };
  }
}

/**
 * Its unlock removes hooks, and the kernel throws away what is held when a hook goes (law 4).
 * @throws Failure `steal-beside-lock`
 */
export function refuseStealBeside({ lock, where }: FoundLock, mode: string, target: string): void {
  if (mode !== 'steal' || lock === 'skip') return;
  const which = lock === null ? `a lock of its own (${where} names none)` : `its own lock, ${lock} (${where})`;
  throw new Failure(
    'steal-beside-lock',
    Exit.usage,
    `${target}: CRIU uses ${which}, whose end would throw away what mode steal holds`,
    {
      suggestions: [
        'tell CRIU so: criu dump --network-lock skip, or network-lock skip in its configuration file (CRIU 3.19 and newer)',
        'or use mode drop, which works beside any lock',
      ],
    },
  );
}

/** `-R`, also among other short options, and any beginning of --leave-running that no other option shares. */
export const leavesRunning = ({ args }: Pick<Caller, 'args'>): boolean =>
  args.some((argument) => /^-R/.test(argument) || (argument.length > 9 && '--leave-running'.startsWith(argument)));

/** The last one to be read, first. */
function configFiles(args: string[], env: NodeJS.ProcessEnv): string[] {
  const own = optionIn(args, 'config', 8);
  const named = [own, env.CRIU_CONFIG_FILE].filter((file): file is string => Boolean(file));
  if (own !== null || args.includes('--no-default-config')) return named;
  return [...named, ...(env.HOME ? [join(env.HOME, '.criu/default.conf')] : []), '/etc/criu/default.conf'];
}

/** getopt_long takes any beginning of a name that no other option shares. */
const lockIn = (args: string[]): OwnLock | null => asLock(optionIn(args, 'network-lock', 5));

/** @returns the last value that an option was given, by its name or a beginning of at least `shortest` characters with the dashes */
function optionIn(args: string[], option: string, shortest: number): string | null {
  let found: string | null = null;
  args.forEach((argument, at) => {
    const [name = '', value] = argument.split(/=(.*)/s);
    if (name.length < shortest || !`--${option}`.startsWith(name)) return;
    found = value ?? args[at + 1] ?? null;
  });
  return found;
}

function lockInFile(file: string): OwnLock | null {
  try {
    const lines = readFileSync(file, 'utf8').split('\n');
    const values = lines.map((line) => /^\s*network-lock[\s=]+"?(\w+)/.exec(line)?.[1] ?? null);
    return asLock(values.filter((value) => value !== null).at(-1) ?? null);
  } catch {
    return null;
  }
}

const asLock = (text: string | null): OwnLock | null => locks.find((lock) => lock === text?.toLowerCase()) ?? null;

/** @returns a number of a message in protobuf's encoding, by the number of its field; null when it is not there */
function varintOf(bytes: Buffer, wanted: number): number | null {
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let shift = 0; at < bytes.length; shift += 7) {
      const byte = bytes[at++] as number;
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    throw new RangeError('it ends in the middle of a number');
  };
  while (at < bytes.length) {
    const key = varint();
    const field = Math.floor(key / 8);
    const kind = key % 8;
    if (kind === 0) {
      const value = varint();
      if (field === wanted) return value;
    } else if (kind === 2) {
      const length = varint();
      at += length;
    } else if (kind === 1 || kind === 5) at += kind === 1 ? 8 : 4;
    else throw new RangeError('it is no message');
  }
  return null;
}
