/** What a freeze works with on this machine, and what it opens for each target. */

import { inside, type Namespace, release } from '../namespace/namespace';
import { NETLINK, type NetlinkSocket, openNetlink } from '../netlink/socket';
import type { Engine, Session } from '../nftables/engine';
import { Exit, Failure } from '../platform/failure';
import { isErrno } from '../platform/libc';

/** The parts of the machine that a freeze needs; tests put an engine of their own here. */
export interface Machine {
  /** The way to nft; chosen when it is first needed. */
  engine(): Promise<Engine>;
  /** Whether what nft has compiled once is replayed into each target (nftables/choose.ts). */
  replays: boolean;
  stateDirectory: string;
  /** Is told how far a step has come. */
  progress?(step: string, done: number, of: number): void;
}

/** A pinned namespace with the conversations that are held in it. They are closed together, at the end (FACTS, Time). */
export interface Site {
  namespace: Namespace;
  netfilter: NetlinkSocket;
  route: NetlinkSocket;
  session(): Promise<Session>;
  /** As the machine's. */
  replays: boolean;
  close(): void;
}

/**
 * Opens a pinned namespace for work. The site owns the namespace from then on.
 * @throws Failure `not-permitted` when the kernel does not let us in
 */
export function openSite(namespace: Namespace, name: string, machine: Pick<Machine, 'engine' | 'replays'>): Site {
  let sockets: { netfilter: NetlinkSocket; route: NetlinkSocket };
  try {
    sockets = inside(namespace, () => ({
      netfilter: openNetlink(NETLINK.NETFILTER),
      route: openNetlink(NETLINK.ROUTE),
    }));
  } catch (cause) {
    release(namespace);
    if (isErrno(cause, 'EPERM')) {
      throw new Failure('not-permitted', Exit.notPermitted, `the kernel does not let us into ${name}: ${cause}`, {
        suggestions: ['run it as root in the user namespace that the network namespace belongs to'],
        cause,
      });
    }
    throw cause;
  }
  let session: Session | undefined;
  return {
    namespace,
    ...sockets,
    replays: machine.replays,
    async session() {
      if (session) return session;
      const engine = await machine.engine();
      session ??= engine.open(namespace);
      return session;
    },
    close() {
      session?.close();
      sockets.netfilter.close();
      sockets.route.close();
      release(namespace);
    },
  };
}
