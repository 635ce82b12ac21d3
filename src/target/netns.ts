/** `netns:NAME`: a namespace as `ip netns add NAME` makes it, a bind mount below /run/netns. */
import { netnsDirectory, netnsNames } from '../namespace/discover';
import { shown } from '../platform/text';
import type { FileKind } from './kind';

/** linux/limits.h */
const NAME_MAX = 255;

export const netns: FileKind = {
  prefix: 'netns',
  advice: '`ip netns list` shows the names; for a process, write pid:N',
  objection(name) {
    if (name === '') return 'the name is empty';
    if (name.includes('/')) return 'a name has no slash';
    if (name === '.' || name === '..') return 'that is a directory';
    if (/[\0-\x1f\x7f]/.test(name)) return 'a name has no control characters';
    if (Buffer.byteLength(name) > NAME_MAX) return `a name has at most ${NAME_MAX} bytes`;
    return null;
  },
  file: (name) => `${netnsDirectory}/${name}`,
  names: netnsNames,
  missing: (name) => `there is no network namespace named ${shown(name)}`,
};
