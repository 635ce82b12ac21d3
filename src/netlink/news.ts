/** A netlink socket that is only listened to: the kernel tells it what happens in the namespace that it was opened in. */
import { closeSync } from 'node:fs';
import { bind, isErrno, recv, setsockopt, socket } from '../platform/libc';
import { type Message, messages } from './message';
import { AF_NETLINK, SOL_NETLINK } from './socket';

/** sys/socket.h, asm-generic/socket.h, linux/netlink.h */
const SOCK_RAW_CLOEXEC = 0x80003;
const SOL_SOCKET = 1;
const SO_RCVBUFFORCE = 33;
const NETLINK_ADD_MEMBERSHIP = 1;
const MSG_DONTWAIT = 0x40;

/** sockaddr_nl: family 16, port 0, no groups. */
const anyPort = Buffer.from([AF_NETLINK, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
/** Room for what the kernel tells between two looks, in bytes. */
const room = 4 * 1024 * 1024;
const datagram = Buffer.alloc(64 * 1024);

export interface News {
  /**
   * @returns what the kernel has told since it was last asked; it does not wait
   * @throws SystemError ENOBUFS when it has told more than could be kept
   */
  told(): Message[];
  close(): void;
}

/**
 * Listens to a multicast group, in the network namespace that is current.
 * @throws SystemError EPERM without CAP_NET_ADMIN there
 */
export function listenTo(family: number, group: number): News {
  const fd = socket(AF_NETLINK, SOCK_RAW_CLOEXEC, family);
  setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, bytesOf(room), 4);
  // To a port of the kernel's choice: a socket without one is told nothing.
  bind(fd, anyPort, anyPort.length);
  setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, bytesOf(group), 4);
  return {
    told() {
      const all: Message[] = [];
      for (;;) {
        try {
          const length = recv(fd, datagram, datagram.length, MSG_DONTWAIT);
          for (const one of messages(datagram.subarray(0, length))) {
            all.push({ ...one, payload: Buffer.from(one.payload) });
          }
        } catch (error) {
          if (isErrno(error, 'EAGAIN')) return all;
          throw error;
        }
      }
    },
    close: () => closeSync(fd),
  };
}

function bytesOf(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  return bytes;
}
