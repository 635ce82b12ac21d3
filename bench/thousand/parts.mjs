// netfreeze's own parts, bundled once, for programs that use them without the rest of it.
import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { buildSync } from 'esbuild';

const contents = `
export { inside, pin } from './src/namespace/namespace';
export { NETLINK, openNetlink } from './src/netlink/socket';
export { confirm, deleteTable, flushSet, send, transaction } from './src/nftables/batch';
export { comparable, readDump } from './src/nftables/dump';
export { elementsIn } from './src/nftables/kernel';
export { libnftables } from './src/nftables/libnftables';
export { filling, recordingOf, wholeOf } from './src/nftables/replay';
`;

/** Bundles the parts, where koffi is found beside them. @returns the file */
export function bundleParts() {
  const outfile = resolve('dist/bench-parts.cjs');
  buildSync({
    stdin: { contents, resolveDir: resolve('.') },
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'cjs',
    external: ['koffi'],
    outfile,
    logLevel: 'error',
  });
  return outfile;
}

/** @returns the parts of a bundle */
export const load = (file) => createRequire(file)(file);
