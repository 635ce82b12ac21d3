// Measures CRIU's own lock beside netfreeze, on the machine that it runs on, and writes what it read as JSON.
//
//   measure.mjs PREFIX FOLDER RESULT CRIU [QUICK|SLOW]
//
// PREFIX begins the names of all namespaces that it makes; FOLDER takes what the programs keep; RESULT is the file to write;
// CRIU the program, or its path. A SLOW machine does less, and one thing after the other; QUICK is for trying it out.
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism, loadavg } from 'node:os';
import { now } from '../lab/clock.mjs';
import { sideBySide } from '../lab/side-by-side.mjs';
import { makeSite } from '../lab/site.mjs';
import { median } from '../lab/statistics.mjs';
import { leadOf } from '../lab/trial.mjs';
import { killed } from './left.mjs';
import { locksOf, runLock, waysOf } from './locks.mjs';
import { moment, tryOut } from './moments.mjs';

const sizes = {
  USUAL: {
    moments: 15,
    kills: { first: 5, all: 5, spread: 10 },
    resumes: 3,
    lengths: [3, 10],
    together: true,
    patience: 0,
  },
  SLOW: {
    moments: 4,
    kills: { first: 1, all: 1, spread: 3 },
    resumes: 1,
    lengths: [3, 10],
    together: false,
    patience: 10_000,
  },
  QUICK: { moments: 2, kills: { first: 1, all: 1, spread: 1 }, resumes: 1, lengths: [3], together: true, patience: 0 },
};
/** Connections of each direction and family. */
const each = 2;

/** How long the command under `netfreeze run` goes on at the most before the kill, in microseconds. */
const commandSpan = 2_000_000;

const [prefix, folder, result, criu, size = 'USUAL'] = process.argv.slice(2);
const { moments, kills, resumes, lengths, together, patience } = sizes[size];
const where = { prefix, folder, patience };
const began = now();
const say = (what) => process.stderr.write(`${((now() - began) / 1e6).toFixed(0).padStart(4)} s  ${what}\n`);

const { available, refused } = await tryOut(locksOf(criu), where, say);
const reading = {
  machine: machine(),
  each,
  together,
  refused,
  available: available.map(({ key, name, isOurs, left }) => ({ key, name, isOurs, left })),
  moments: [],
  kills: [],
  discarded: 0,
  resumes: [],
};
// Without CRIU there is nothing to compare.
if (available.some(({ isOurs }) => !isOurs)) {
  for (const part of [measureMoments, measureKills, measureResumes]) {
    await part();
    // A run that is cut off has measured something.
    save();
  }
}
save();
say('done');

function save() {
  writeFileSync(result, JSON.stringify(reading));
}

async function measureMoments() {
  for (let round = 1; round <= moments; round += 1) {
    say(`the moment of the lock, round ${round} of ${moments}`);
    // Turn by turn, so that a machine that gets slower or faster meanwhile does so for all.
    for (const lock of available) reading.moments.push(await moment(lock, where));
  }
}

async function measureKills() {
  const spans = Object.fromEntries(
    available.map(({ key }) => [
      key,
      median(reading.moments.filter(({ lock }) => lock === key).map(({ took }) => took)),
    ]),
  );
  // In the middle of what it runs as well.
  spans[runLock.key] = spans.drop + commandSpan;
  // Mode steal makes its freeze as mode drop does.
  const wanted = [...available.filter(({ key }) => key !== 'steal'), runLock];
  Object.assign(reading, await killed(wanted, spans, kills, where, say));
}

async function measureResumes() {
  const ways = await withLeads(waysOf(available));
  reading.ways = ways.map(({ key, name }) => ({ key, name }));
  for (const seconds of lengths) {
    for (let round = 1; round <= resumes; round += 1) {
      say(`TCP after ${seconds} s, round ${round} of ${resumes}`);
      const plans = ways.map((way) => ({
        ...where,
        way,
        seconds,
        connections: { 'stream-out': each, 'stream-in': each },
        onlyConnections: true,
      }));
      const batches = together ? [plans] : plans.map((plan) => [plan]);
      for (const batch of batches) reading.resumes.push(...(await sideBySide(batch)));
    }
  }
}

async function withLeads(ways) {
  const site = await makeSite({ ...where, connections: {} });
  try {
    const withLead = [];
    for (const way of ways) withLead.push({ ...way, lead: await leadOf(way, site) });
    return withLead;
  } finally {
    await site.remove();
  }
}

function machine() {
  const said = (program, ...args) => execFileSync(program, args, { encoding: 'utf8' }).split('\n')[0];
  const [, system] = /^PRETTY_NAME="(.*)"$/m.exec(readFileSync('/etc/os-release', 'utf8')) ?? [];
  let criuVersion = 'none';
  try {
    criuVersion = said(criu, '--version').replace(/^Version: /, '');
  } catch {
    // tryOut has said what is wrong.
  }
  return {
    system,
    kernel: /^\d+\.\d+/.exec(said('uname', '-r'))[0],
    criu: criuVersion,
    cores: availableParallelism(),
    load: loadavg()[0].toFixed(1),
    nft: said('nft', '--version').replace(/^nftables /, ''),
  };
}
