/** `path:FILE`: a file that is a network namespace, such as /run/netns/web or /proc/4711/ns/net. */
import { resolve } from 'node:path';
import { shown } from '../platform/text';
import type { FileKind } from './kind';

/** linux/limits.h */
const PATH_MAX = 4096;

export const path: FileKind = {
  prefix: 'path',
  advice: 'a namespace is a file such as /run/netns/web or /proc/4711/ns/net',
  objection(name) {
    if (name === '') return 'the path is empty';
    if (/[\0-\x1f\x7f]/.test(name)) return 'a path has no control characters';
    if (Buffer.byteLength(name) >= PATH_MAX) return `a path has fewer than ${PATH_MAX} bytes`;
    return null;
  },
  file: (name) => resolve(name),
  names: () => [],
  missing: (name) => `there is no file ${shown(name)}`,
};
