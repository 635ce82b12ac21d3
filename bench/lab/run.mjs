// The lab: the ways of freezing a network side by side. Prints the page's sections in Markdown, and draws lab.svg.
//
//   run.mjs PREFIX FOLDER [SECONDS...]
//
// PREFIX begins the names of all namespaces that it makes; FOLDER takes netfreeze's state and the picture. With SECONDS
// only freezes of these lengths are measured, once each.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { page } from './page.mjs';
import { picture } from './picture.mjs';
import { lengths, measureLengths, measureTimers, tryOut } from './programme.mjs';
import { ways } from './ways.mjs';

const [prefix, folder, ...only] = process.argv.slice(2);
const where = { prefix, folder };
const began = performance.now();
const say = (what) =>
  process.stderr.write(`${((performance.now() - began) / 1000).toFixed(0).padStart(4)} s  ${what}\n`);

const wanted = only.length === 0 ? lengths : only.map((one) => ({ seconds: Number(one), rounds: 1, hasTable: true }));
const timersSeconds = only.length === 0 ? 10 : Math.max(...only.map(Number));

say('each way once, where nothing happens');
const { available, refused } = await tryOut(Object.values(ways), where);
const among = (...keys) => keys.flatMap((key) => available.filter((way) => way.key === key));
const compared = among('filter', 'criu', 'plain', 'kick', 'peers', 'steal');
const readings = await measureLengths(compared, wanted, where, say);
const timers = await measureTimers(available, timersSeconds, where, say);
say('done');

process.stdout.write(page({ compared, available, lengths: wanted, readings, timers, timersSeconds, refused }));
writeFileSync(join(folder, 'lab.svg'), picture(compared, readings));
