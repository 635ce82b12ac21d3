/** `pid:N`: the namespace that a process is in. */
import type { FileKind } from './kind';

/** linux/threads.h: PID_MAX_LIMIT on 64 bits */
const largestPid = 4_194_304;

export const pid: FileKind = {
  prefix: 'pid',
  advice: 'give the id of a process that is in the namespace and stays',
  objection(name) {
    if (!/^[1-9][0-9]{0,6}$/.test(name) || Number(name) > largestPid) return 'a process id is a whole number';
    return null;
  },
  file: (name) => `/proc/${name}/ns/net`,
  names: () => [],
  missing: (name) => `there is no process ${name}, or it has just ended`,
};
