// The namespaces that are frozen: bare ones, all made before anything is measured.
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Makes namespaces. @returns their names, a list of the first `count` of them as a file, and how to remove them */
export function makeNamespaces(base, count, folder) {
  const names = Array.from({ length: count }, (_, at) => `${base}-${String(at + 1).padStart(4, '0')}`);
  const batch = (lines) =>
    execFileSync('ip', ['-force', '-batch', '-'], { input: lines.join('\n'), stdio: ['pipe', 'ignore', 'ignore'] });
  const remove = () => {
    try {
      batch(names.map((name) => `netns delete ${name}`));
    } catch {
      // Some were never made.
    }
  };
  try {
    batch(names.map((name) => `netns add ${name}`));
  } catch (error) {
    remove();
    throw error;
  }
  return {
    remove,
    list(size) {
      const file = join(folder, `names-${size}`);
      writeFileSync(file, `${names.slice(0, size).join('\n')}\n`);
      return file;
    },
  };
}
