/**
 * A netlink socket: requests and dumps, one after the other, on the main thread. A socket belongs to the network
 * namespace that is current when it is opened, and keeps belonging to it after the thread has left (FACTS).
 */
import { closeSync } from 'node:fs';
import { isErrno, limitReading, recv, SystemError, sendto, setsockopt, socket } from '../platform/libc';
import { type Message, messages, NLM_F, NLMSG } from './message';

/** linux/netlink.h: the families that netfreeze talks to. */
export const NETLINK = { ROUTE: 0, SOCK_DIAG: 4, NETFILTER: 12 } as const;

/** sys/socket.h, asm-generic/socket.h, linux/netlink.h */
export const AF_NETLINK = 16;
const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0x80000;
export const SOL_NETLINK = 270;
/** sys/socket.h, asm-generic/socket.h */
const MSG_DONTWAIT = 0x40;
const SOL_SOCKET = 1;
const SO_SNDBUFFORCE = 32;
/** How long a kernel may take that has not answered by the time its system call returned, in milliseconds. */
const patience = 5000;

/** sockaddr_nl of the kernel: family 16, port 0, no groups. */
const kernelAddress = Buffer.from([AF_NETLINK, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);

/** The kernel builds dump datagrams of at most 32 KiB (net/netlink/af_netlink.c). */
const datagram = Buffer.alloc(64 * 1024);
/** How often a dump is begun again that changed while it was read. */
const dumpAttempts = 8;

/** A message but for its sequence number, which the socket sets. */
export type Request = (sequence: number) => Buffer;

export interface NetlinkSocket {
  readonly fd: number;
  /** Sends one request with an acknowledgement; throws SystemError with what the kernel answered. */
  request(request: Request): void;
  /** Sends one request and returns its answers, each a copy, begun again when the kernel says it changed meanwhile. */
  dump(request: Request): Message[];
  /**
   * Sends several messages as one datagram, which the kernel takes as a whole (netfilter's batches).
   * @param requests the last but one must ask for an acknowledgement: it ends the waiting
   * @throws SystemError with the first error that the kernel answered
   */
  batch(requests: Request[]): void;
  /**
   * Sends a datagram of several messages, whose numbers go up by one; verdict() reads what came of it.
   */
  transmit(datagram: Buffer): void;
  /** Waits for the answer to message `last`; throws SystemError with the first error since message `first`. */
  verdict(first: number, last: number): void;
  /** Sends one request and waits for no answer: the kernel has dealt with it when this returns. */
  post(request: Request): void;
  close(): void;
}

/** Opens a netlink socket in the namespace that is current. */
export function openNetlink(family: number): NetlinkSocket {
  return netlinkOn(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, family));
}

/** @returns the conversation over a netlink socket that is open already; closing it closes the descriptor */
export function netlinkOn(fd: number): NetlinkSocket {
  let sequence = 0;
  let open = true;

  const transmit = (bytes: Buffer): void => {
    const send = () => sendto(fd, bytes, bytes.length, 0, kernelAddress, kernelAddress.length);
    try {
      send();
    } catch (error) {
      if (!isErrno(error, 'EMSGSIZE')) throw error;
      // The kernel takes as much at once as the socket's buffer may hold, and twice what is asked for.
      const size = Buffer.alloc(4);
      size.writeInt32LE(bytes.length, 0);
      setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, size, size.length);
      send();
    }
  };

  const send = (request: Request): number => {
    sequence += 1;
    transmit(request(sequence));
    return sequence;
  };

  return {
    fd,
    request(request) {
      for (const _ of receive(fd, send(request))) {
        // Only the acknowledgement is of interest, and it ends the walk.
      }
    },
    dump(request) {
      for (let attempt = 0; ; attempt += 1) {
        const answers: Message[] = [];
        let interrupted = false;
        for (const answer of receive(fd, send(request))) {
          interrupted ||= (answer.flags & NLM_F.DUMP_INTR) !== 0;
          answers.push(answer);
        }
        if (!interrupted) return answers;
        if (attempt >= dumpAttempts)
          throw new SystemError('netlink: what was asked for changed each time', 11 /* EAGAIN */);
      }
    },
    batch(requests) {
      const first = sequence + 1;
      const datagrams = requests.map((request) => {
        sequence += 1;
        return request(sequence);
      });
      transmit(Buffer.concat(datagrams));
      receiveVerdict(fd, first, sequence - 1);
    },
    transmit,
    verdict: (first, last) => receiveVerdict(fd, first, last),
    post(request) {
      send(request);
    },
    close() {
      if (open) closeSync(fd);
      open = false;
    },
  };
}

/** Reads the answers to a batch until the one to its last message; the first error among them is thrown. */
function receiveVerdict(fd: number, first: number, last: number): void {
  let failure: SystemError | null = null;
  for (;;) {
    const length = receiveDatagram(fd);
    for (const { type, sequence, payload } of messages(datagram.subarray(0, length))) {
      if (type !== NLMSG.ERROR || sequence < first || sequence > last) continue;
      const errno = payload.length >= 4 ? -payload.readInt32LE(0) : 0;
      if (errno > 0) failure ??= new SystemError('netlink', errno);
      // A batch that is refused as a whole (no right to it, out of memory) is answered at its first message alone.
      if (sequence < last && !(failure && sequence === first)) continue;
      if (failure) throw failure;
      return;
    }
  }
}

/** Yields the answers to one request until its end, each to be kept; throws on an error answer. */
function* receive(fd: number, sequence: number): Generator<Message> {
  for (;;) {
    const length = receiveDatagram(fd);
    for (const answer of messages(Buffer.from(datagram.subarray(0, length)))) {
      if (answer.sequence !== sequence) continue; // A late answer to an earlier request that we gave up.
      if (answer.type === NLMSG.ERROR || answer.type === NLMSG.DONE) {
        const errno = answer.payload.length >= 4 ? -answer.payload.readInt32LE(0) : 0;
        if (errno > 0) throw new SystemError('netlink', errno);
        return;
      }
      yield answer;
      if ((answer.flags & NLM_F.MULTI) === 0) return;
    }
  }
}

/** The kernel has answered when the call that asked it returns, so that there is nothing to wait for. */
function receiveDatagram(fd: number): number {
  try {
    return recv(fd, datagram, datagram.length, MSG_DONTWAIT);
  } catch (error) {
    if (!isErrno(error, 'EAGAIN')) throw error;
  }
  // If there is, a kernel that never answers must not hang us.
  limitReading(fd, patience);
  try {
    return recv(fd, datagram, datagram.length, 0);
  } catch (error) {
    if (isErrno(error, 'EAGAIN')) throw new SystemError('netlink: no answer within 5 s', 110 /* ETIMEDOUT */);
    throw error;
  }
}
