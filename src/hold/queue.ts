/**
 * NFQUEUE: the queues that hold a namespace's packets, bound by one socket that nobody reads. The kernel keeps the
 * packets; the socket's owner alone may say what becomes of them (net/netfilter/nfnetlink_queue.c).
 */
import { readFileSync } from 'node:fs';
import { inside, type Namespace } from '../namespace/namespace';
import { attribute, message, NLM_F } from '../netlink/message';
import { NETLINK, type NetlinkSocket, netlinkOn, openNetlink } from '../netlink/socket';
import { getsockname, isErrno, recv, setsockopt } from '../platform/libc';

/** linux/netfilter/nfnetlink.h, linux/netfilter/nfnetlink_queue.h */
const NFNL_SUBSYS_QUEUE = 3;
const NFQNL_MSG = { CONFIG: 2, VERDICT_BATCH: 3 } as const;
const NFQA_CFG = { CMD: 1, PARAMS: 2, QUEUE_MAXLEN: 3, MASK: 4, FLAGS: 5 } as const;
const NFQNL_CFG_CMD_BIND = 1;
/** Without META (or PACKET) the kernel drops what it queues (FACTS). */
const NFQNL_COPY_META = 1;
/** Of the flags only this one: without it the kernel cuts large packets into segments. FAIL_OPEN (1) is never set (law 3). */
const NFQA_CFG_F_GSO = 4;
const everyFlag = 7;
const NFQA_VERDICT_HDR = 2;
/** linux/netfilter.h */
const verdicts = { drop: 0, accept: 1, repeat: 4 } as const;
/** Ids are 32 bits and compared as a circle: half of it lies behind this one, more than a queue ever holds. */
const everyId = 0x7fffffff;

/** asm-generic/socket.h, linux/netlink.h */
const SOL_SOCKET = 1;
const SO_RCVBUFFORCE = 33;
const SOL_NETLINK = 270;
/** sys/socket.h */
const MSG_DONTWAIT = 0x40;
const NETLINK_NO_ENOBUFS = 5;
/** What an unread notice costs of the receive buffer, rounded up: 816 bytes were measured (FACTS). */
const noticeBytes = 1024;

/** One queue number per direction. */
export interface QueueNumbers {
  in: number;
  out: number;
}

/** What becomes of packets: `repeat` asks the chain again, which lets them go on only if the lease has ended. */
export type Verdict = keyof typeof verdicts;

/** A queue as the kernel shows it. */
export interface QueueState {
  number: number;
  /** The netlink port of the socket that is bound to it. */
  owner: number;
  /** Packets that wait for a verdict. */
  held: number;
  /** Packets that found the queue full. */
  dropped: number;
  /** Packets whose notice did not fit into the socket's buffer. */
  userDropped: number;
  /** Packets that were numbered: all but those of `dropped`. */
  sequence: number;
}

/** The process file of the queues, in the namespace of the thread that opens it. */
export const queueFile = '/proc/thread-self/net/netfilter/nfnetlink_queue';

/** @returns the namespace's queues; none where the kernel has no NFQUEUE */
export function readQueues(namespace: Namespace): QueueState[] {
  const text = inside(namespace, () => {
    try {
      return readFileSync(queueFile, 'utf8');
    } catch (error) {
      if (isErrno(error, 'ENOENT')) return '';
      throw error;
    }
  });
  return parseQueues(text);
}

/** Reads the kernel's table: number, owner, held, copy mode, copy range, dropped, user dropped, sequence, 1. */
export function parseQueues(text: string): QueueState[] {
  return text
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number))
    .filter((fields) => fields.length >= 8 && fields.every(Number.isFinite))
    .map(([number = 0, owner = 0, held = 0, , , dropped = 0, userDropped = 0, sequence = 0]) => ({
      number,
      owner: owner >>> 0,
      held,
      dropped,
      userDropped,
      sequence,
    }));
}

/** A socket that is bound to the two queues of a freeze. */
export interface QueueSocket {
  readonly fd: number;
  /** Its netlink port, by which the kernel's table names it. */
  readonly port: number;
  /**
   * Decides about what is held: of `in` first, then of `out`, each in the order in which it came.
   * @param upTo the largest id of each queue that is meant; all of them without it
   */
  decide(verdict: Verdict, numbers: QueueNumbers, upTo?: QueueNumbers): void;
  /** Throws the notices away that nobody has read; the packets stay. */
  drain(): void;
  /** Sets how many packets each queue holds. */
  limit(numbers: QueueNumbers, packets: number): void;
  close(): void;
}

/**
 * Opens a socket in the namespace and binds both queues to it: from then on what is queued is held.
 * @param limit how many packets each queue holds; what comes then is dropped and counted by the kernel
 * @throws SystemError EBUSY where a number is taken, EINVAL or EOPNOTSUPP on a kernel without NFQUEUE, EPERM
 */
export function bindQueues(namespace: Namespace, numbers: QueueNumbers, limit: number): QueueSocket {
  const netlink = inside(namespace, () => openNetlink(NETLINK.NETFILTER));
  try {
    setOption(netlink.fd, SOL_NETLINK, NETLINK_NO_ENOBUFS, 1);
    roomFor(netlink.fd, limit);
    for (const number of [numbers.in, numbers.out]) {
      netlink.request((sequence) => configuration(sequence, number, limit, NLM_F.ACK));
    }
    return queueSocket(netlink);
  } catch (error) {
    netlink.close();
    throw error;
  }
}

/**
 * @param fd a socket that was bound by bindQueues(), in this process or in another one
 * @returns it, to decide with; closing it closes this descriptor only
 */
export const queueSocketOn = (fd: number): QueueSocket => queueSocket(netlinkOn(fd));

function queueSocket(netlink: NetlinkSocket): QueueSocket {
  const { fd } = netlink;
  return {
    fd,
    port: portOf(fd),
    decide(verdict, numbers, upTo = { in: everyId, out: everyId }) {
      // No acknowledgement is asked for: it would stand behind all the notices that nobody reads.
      netlink.post((sequence) => verdictUpTo(sequence, verdict, numbers.in, upTo.in));
      netlink.post((sequence) => verdictUpTo(sequence, verdict, numbers.out, upTo.out));
    },
    drain() {
      const notice = Buffer.alloc(4096);
      try {
        for (;;) recv(fd, notice, notice.length, MSG_DONTWAIT);
      } catch (error) {
        if (!isErrno(error, 'EAGAIN')) throw error;
      }
    },
    limit(numbers, packets) {
      roomFor(fd, packets);
      for (const number of [numbers.in, numbers.out]) {
        netlink.post((sequence) => maximum(sequence, number, packets));
      }
    },
    close: netlink.close,
  };
}

/** sockaddr_nl: family, padding, port, groups. */
function portOf(fd: number): number {
  const address = Buffer.alloc(12);
  getsockname(fd, address, Buffer.from([12, 0, 0, 0]));
  return address.readUInt32LE(4);
}

/**
 * Notices of both queues are not read, so all of them must fit; and the kernel doubles the number it is given, so that there is
 * room twice: a packet that the kernel has thrown away makes room in its queue, but its notice stays.
 */
const roomFor = (fd: number, limit: number): void =>
  setOption(fd, SOL_SOCKET, SO_RCVBUFFORCE, Math.min(2 * limit * noticeBytes + 64 * 1024, 2 ** 30 - 1));

function setOption(fd: number, level: number, name: number, value: number): void {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(Math.floor(value), 0);
  setsockopt(fd, level, name, bytes, bytes.length);
}

/** Bind, copy mode, length and flags in one message: there is no moment in which a bound queue drops (FACTS). */
function configuration(sequence: number, number: number, limit: number, flags: number): Buffer {
  return message(
    (NFNL_SUBSYS_QUEUE << 8) | NFQNL_MSG.CONFIG,
    flags,
    sequence,
    header(number),
    attribute(NFQA_CFG.CMD, Buffer.from([NFQNL_CFG_CMD_BIND, 0, 0, 0])),
    attribute(NFQA_CFG.PARAMS, Buffer.from([0, 0, 0, 0, NFQNL_COPY_META])),
    attribute(NFQA_CFG.QUEUE_MAXLEN, word(limit)),
    attribute(NFQA_CFG.MASK, word(everyFlag)),
    attribute(NFQA_CFG.FLAGS, word(NFQA_CFG_F_GSO)),
  );
}

const maximum = (sequence: number, number: number, packets: number): Buffer =>
  message(
    (NFNL_SUBSYS_QUEUE << 8) | NFQNL_MSG.CONFIG,
    0,
    sequence,
    header(number),
    attribute(NFQA_CFG.QUEUE_MAXLEN, word(packets)),
  );

/** @returns the message that decides about the packets of one queue up to an id, in their order (keeper.sh says the same bytes) */
export const verdictUpTo = (sequence: number, verdict: Verdict, number: number, id = everyId): Buffer =>
  message(
    (NFNL_SUBSYS_QUEUE << 8) | NFQNL_MSG.VERDICT_BATCH,
    0,
    sequence,
    header(number),
    attribute(NFQA_VERDICT_HDR, Buffer.concat([word(verdicts[verdict]), word(id)])),
  );

/** struct nfgenmsg: any family, version 0, the queue's number in network order. */
const header = (number: number): Buffer => Buffer.from([0, 0, number >> 8, number & 0xff]);

function word(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0, 0);
  return bytes;
}
