/** Keys of what is kept for the next run: the same only where all that went into it is the same. */
import { createHash } from 'node:crypto';

/**
 * @param parts what went in, by name; in any order
 * @returns 16 hexadecimal digits
 */
export function keyOf(parts: Readonly<Record<string, string | Buffer>>): string {
  const hash = createHash('sha256');
  for (const name of Object.keys(parts).sort()) {
    const part = Buffer.from(parts[name] ?? '');
    // With lengths, so that no two sets of parts read the same.
    hash.update(`${Buffer.byteLength(name)} ${part.length}\n${name}`).update(part);
  }
  return hash.digest('hex').slice(0, 16);
}
