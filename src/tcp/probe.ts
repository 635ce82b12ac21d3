/** A window probe: a segment without data whose answer makes a socket send again what was lost. */
import { getOption, SO_REUSEADDR, setOption, TCP_REPAIR } from './options';

/** linux/tcp.h */
const TCP_REPAIR_OFF = 0;

/**
 * Makes an established socket send a window probe. Ending a repair does that, also where none was begun, so that the
 * program's own calls are never in the way of one; what it clears beside is SO_REUSEADDR, which is put back.
 * @returns whether it was sent; not on a socket that is under repair by somebody else (CRIU)
 * @throws SystemError from the kernel, EPERM without CAP_NET_ADMIN in the socket's namespace
 */
export function probe(fd: number): boolean {
  if (getOption(fd, TCP_REPAIR) !== TCP_REPAIR_OFF) return false;
  const reuse = getOption(fd, SO_REUSEADDR);
  try {
    setOption(fd, TCP_REPAIR, TCP_REPAIR_OFF);
  } finally {
    if (reuse !== 0) setOption(fd, SO_REUSEADDR, reuse);
  }
  return true;
}
