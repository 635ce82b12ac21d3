/** The test machine's disk, kernel and initial RAM disk: built once, kept until something that goes into them changes. */
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { join } from 'node:path';
import { keyOf } from './key';

/** Everything of the VM suite that is kept; nothing in it is ever committed. */
export const cache = '.cache/vm';

const source = 'test/vm/image';
const packageLists = [`${source}/packages.txt`, 'test/kernel/rig/packages.txt'];

export interface Image {
  folder: string;
  key: string;
}

/**
 * Builds the image unless there is one of the same key; removes those of other keys.
 * @throws when it can't be built; what the builder said is on standard error
 */
export function ensureImage(): Image {
  const key = imageKey();
  const folder = join(cache, `image-${key}`);
  if (!existsSync(folder)) {
    mkdirSync(cache, { recursive: true });
    for (const name of readdirSync(cache).filter((entry) => /^(image|draft)-/.test(entry))) {
      rmSync(join(cache, name), { recursive: true, force: true });
    }
    const draft = mkdtempSync(join(cache, 'draft-'));
    try {
      build(draft);
      // A folder of that name is a whole image.
      renameSync(draft, folder);
    } finally {
      rmSync(draft, { recursive: true, force: true });
    }
  }
  return { folder, key };
}

function build(folder: string): void {
  const { status, error } = spawnSync(`${source}/build.sh`, [folder, packages().join(',')], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error('the image of the test machine could not be built');
}

/** Of the builder, what it copies, what it installs, and from where. */
function imageKey(): string {
  const files = [`${source}/build.sh`, ...filesIn(`${source}/guest`), ...filesIn('/etc/apt/sources.list.d')];
  if (existsSync('/etc/apt/sources.list')) files.push('/etc/apt/sources.list');
  return keyOf({
    ...Object.fromEntries(files.map((file) => [file, readFileSync(file)])),
    packages: packages().join(),
    node: readFileSync(realpathSync(process.execPath)),
  });
}

function packages(): string[] {
  const lines = packageLists.flatMap((list) => readFileSync(list, 'utf8').split('\n'));
  return [...new Set(lines.filter((line) => line !== ''))].sort();
}

function filesIn(folder: string): string[] {
  return existsSync(folder) ? readdirSync(folder).map((name) => join(folder, name)) : [];
}
