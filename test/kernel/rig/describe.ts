/** Who runs the kernel tests: root on a machine with the tools; anyone else is told why they are skipped. */
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** `replay` is what netfreeze does unless told; the others load and list each target by nft. */
export type Engine = 'replay' | 'libnftables' | 'nft';

/** The system's own programs first: a python3 of some version manager in PATH costs more time than a test. */
export const programPath = ['/usr/sbin', '/usr/bin', '/sbin', '/bin', process.env.PATH ?? ''].join(delimiter);

/**
 * The engines that the tests run on; NETFREEZE_TEST_ENGINES, separated by commas, narrows them: `npm test` takes the
 * replay, and `npm run test:faults` the others.
 */
export const engines: readonly Engine[] = narrowed(process.env.NETFREEZE_TEST_ENGINES);

/** Those that load and list each target by nft, so that a test can put faults between the two. */
export const nftEngines: readonly Engine[] = ['libnftables', 'nft'];

function narrowed(wanted: string | undefined): Engine[] {
  const all: Engine[] = ['replay', 'libnftables', 'nft'];
  return wanted === undefined ? all : all.filter((engine) => wanted.split(',').includes(engine));
}

const missing = whatIsMissing();
if (missing !== null) process.stderr.write(`kernel tests: ${missing}\n`);

/** A `describe` of tests that need root: skipped with a word elsewhere, a failure where CI is true. */
export function describeKernel(name: string, body: () => void): void {
  if (missing === null) {
    describe(name, body);
  } else if (process.env.CI === 'true') {
    test(`${name}: ${missing}`, () => {
      throw new Error(`the kernel tests cannot run here: ${missing}`);
    });
  } else {
    describe.skip(`${name} (skipped: ${missing})`, body);
  }
}

/**
 * The same tests on each engine.
 * @param of those that they are about
 */
export function describeEngines(name: string, body: (engine: Engine) => void, of: readonly Engine[] = engines): void {
  for (const engine of engines.filter((one) => of.includes(one)))
    describeKernel(`${name} [${engine}]`, () => body(engine));
}

/** One engine, the usual one, is enough for tests of what both have in common, and for those that take long. */
export function describeOneEngine(name: string, body: (engine: Engine) => void): void {
  const engine: Engine = 'replay';
  if (engines.includes(engine)) describeKernel(`${name} [${engine}]`, () => body(engine));
}

function whatIsMissing(): string | null {
  if (process.getuid?.() !== 0) return 'not root';
  const absent = ['ip', 'tc', 'nft', 'nsenter', 'unshare', 'setpriv', 'python3'].filter((tool) => !isThere(tool));
  return absent.length === 0 ? null : `missing: ${absent.join(', ')} (see test/kernel/rig/packages.txt)`;
}

/** @returns whether a program is installed */
export function isThere(tool: string): boolean {
  return programPath.split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, tool), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
