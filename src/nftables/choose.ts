/** Which engine: the library in this process where it can be loaded, else the program. */
import { Exit, Failure } from '../platform/failure';
import type { Engine } from './engine';

/**
 * Whether what nft has compiled once is replayed into each target, and proven by what the kernel dumps. With an engine that
 * is forced, each target is loaded and listed by that engine, which proves the replay as well.
 * @param forced NETFREEZE_ENGINE
 */
export const isReplaying = (forced = process.env.NETFREEZE_ENGINE): boolean =>
  !['libnftables', 'nft'].includes(forced ?? '');

/**
 * Chooses the engine that compiles and lists: libnftables in this process, or the nft program where the library can't be
 * loaded.
 * @param forced NETFREEZE_ENGINE: `libnftables` or `nft`; `replay` is what is done unless told
 * @throws Failure `no-nftables` when there is neither, `bad-engine` for another name
 */
export async function chooseEngine(forced = process.env.NETFREEZE_ENGINE): Promise<Engine> {
  switch (forced ?? '') {
    case 'libnftables':
      return (await import('./libnftables')).libnftables();
    case 'nft':
      return (await import('./nft-program')).nftProgram();
    case '':
    case 'replay':
      return firstOf(
        async () => (await import('./libnftables')).libnftables(),
        async () => (await import('./nft-program')).nftProgram(),
      );
    default:
      throw new Failure('bad-engine', Exit.usage, `NETFREEZE_ENGINE is "${forced}"`, {
        suggestions: ['set it to replay, libnftables or nft, or leave it unset'],
      });
  }
}

async function firstOf(library: () => Promise<Engine>, program: () => Promise<Engine>): Promise<Engine> {
  try {
    return await library();
  } catch (libraryError) {
    try {
      return await program();
    } catch (programError) {
      throw new Failure('no-nftables', Exit.unsupported, 'neither libnftables nor the nft program can be used here', {
        suggestions: ['install nftables 1.0.1 or newer: apt-get install nftables, or dnf install nftables'],
        cause: new AggregateError([libraryError, programError], `${libraryError}; ${programError}`),
      });
    }
  }
}
