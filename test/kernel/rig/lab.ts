/**
 * A lab: namespaces joined by veth pairs, made for one test and removed after it.
 *
 *     peer eth0 ───── toPeer box toFar ───── eth0 far
 *
 * `box` is what is frozen; it forwards between `peer` and `far` (which only a router lab has). Addresses exist inside
 * the namespaces only; the machine's own namespace is never touched.
 */
import { rmSync } from 'node:fs';
import type { Engine } from './describe';
import { endKeepersOf } from './keeper';
import { noteNamespaces, removeFolder, scratchDirectory, sweep } from './leftovers';
import { expectExit, netfreeze, type Outcome, type Surroundings } from './netfreeze';
import { type Running, run, runTraffic, startTraffic } from './program';

export type Place = 'peer' | 'box' | 'far';
export type Family = 4 | 6;

export const families: readonly Family[] = [4, 6];

/** Who has which address. `box` has one on either side: what each neighbour calls it. */
export const address = {
  4: { peer: '10.91.1.2', box: '10.91.1.1', boxToFar: '10.91.2.1', far: '10.91.2.2' },
  6: { peer: 'fd91:1::2', box: 'fd91:1::1', boxToFar: 'fd91:2::1', far: 'fd91:2::2' },
} as const;

/** Addresses that nobody has yet, on either side of the box. */
export const unanswered = {
  4: { peer: '10.91.1.77', far: '10.91.2.77' },
  6: { peer: 'fd91:1::77', far: 'fd91:2::77' },
} as const;

export interface Lab {
  /** The box's name for `ip netns`, which netfreeze is given. */
  readonly box: string;
  readonly stateDir: string;
  name(place: Place): string;
  /** The namespace's file. */
  file(place: Place): string;
  /** Runs netfreeze on the lab's engine and with its own state directory. */
  netfreeze(...args: string[]): Promise<Outcome>;
  /** Runs netfreeze in other surroundings. */
  netfreezeIn(surroundings: Partial<Surroundings>, ...args: string[]): Promise<Outcome>;
  /** Freezes the box, or fails with what netfreeze said. */
  freeze(...options: string[]): Promise<Outcome>;
  thaw(): Promise<Outcome>;
  ip(place: Place, ...args: string[]): Promise<string>;
  /** `nft` in a namespace: options, then one argument that is a whole script, loaded in one transaction. */
  nft(place: Place, ...args: string[]): Promise<string>;
  run(place: Place, program: string, ...args: string[]): Promise<string>;
  /** Runs a traffic program to its end. */
  traffic<Answer>(place: Place, program: string, settings: object): Promise<Answer>;
  /** Starts a traffic program that goes on; it ends with the test at the latest. */
  start(place: Place, program: string, settings: object): Promise<Running>;
  /** Makes one more namespace of any name; it goes with the lab. */
  addNamespace(name: string): Promise<void>;
  /** A process that only lives in the place's namespace. @returns its id */
  resident(place: Place): Promise<number>;
  remove(): Promise<void>;
}

/** Makes a lab that is removed without further ado. */
export type LabMaker = (shape?: 'pair' | 'router') => Promise<Lab>;

/**
 * Registers the removal of labs: after each test, or at the end of what is described where tests share time.
 * @returns makes a lab
 */
export function useLabs(engine: Engine, until: 'test' | 'end' = 'test'): LabMaker {
  const labs: Lab[] = [];
  (until === 'test' ? afterEach : afterAll)(async () => {
    for (const lab of labs.splice(0)) await lab.remove();
  });
  afterAll(removeFolder);
  return async (shape = 'pair') => {
    const lab = await makeLab(engine, shape);
    labs.push(lab);
    return lab;
  };
}

let counter = 0;

/** Makes a lab for an engine; the caller removes it. */
async function makeLab(engine: Engine, shape: 'pair' | 'router'): Promise<Lab> {
  await sweep(removeNamespace);
  counter += 1;
  const base = `nfz-${process.pid}-${counter}`;
  const name = (place: Place) => `${base}-${place}`;
  const places: Place[] = shape === 'pair' ? ['peer', 'box'] : ['peer', 'box', 'far'];
  const namespaces = places.map(name);
  const running: Running[] = [];
  noteNamespaces(namespaces);
  const stateDir = scratchDirectory('state');
  const file = (place: Place) => `/run/netns/${name(place)}`;
  const lab: Lab = {
    box: name('box'),
    stateDir,
    name,
    file,
    netfreeze: (...args) => netfreeze({ engine, stateDir }, args),
    netfreezeIn: (surroundings, ...args) => netfreeze({ engine, stateDir, ...surroundings }, args),
    freeze: async (...options) => expectExit(await lab.netfreeze('on', lab.box, ...options), 0),
    thaw: async () => expectExit(await lab.netfreeze('off', lab.box), 0),
    ip: (place, ...args) => run('ip', ['-n', name(place), ...args]),
    nft: (place, ...args) => lab.run(place, 'nft', ...args),
    run: (place, program, ...args) => run('nsenter', [`--net=${file(place)}`, program, ...args]),
    traffic: (place, program, settings) => runTraffic(file(place), program, settings),
    async start(place, program, settings) {
      const started = await startTraffic(file(place), program, settings);
      running.push(started);
      return started;
    },
    async addNamespace(extra) {
      noteNamespaces([extra]);
      await run('ip', ['netns', 'add', extra]);
      namespaces.push(extra);
    },
    async resident(place) {
      const started = await lab.start(place, 'resident', {});
      return (await started.ask<{ pid: number }>({ do: 'pid' })).pid;
    },
    async remove() {
      for (const one of running.splice(0)) await one.end();
      for (const one of namespaces.splice(0)) {
        endKeepersOf(one);
        await removeNamespace(one);
      }
      rmSync(stateDir, { recursive: true, force: true });
    },
  };
  try {
    await build(places, name, file);
  } catch (error) {
    await lab.remove();
    throw error;
  }
  return lab;
}

async function build(places: Place[], name: (place: Place) => string, file: (place: Place) => string): Promise<void> {
  const links = [link(name('peer'), name('box'), 'toPeer', 10)];
  if (places.includes('far')) links.push(link(name('far'), name('box'), 'toFar', 20));
  const batch = [...places.map((place) => `netns add ${name(place)}`), ...links];
  await run('ip', ['-batch', '-'], { input: batch.join('\n') });
  // One shell for each namespace does the rest; without duplicate address detection addresses work at once.
  await Promise.all(
    places.map((place) =>
      run('nsenter', [`--net=${file(place)}`, 'sh', '-ec', setUp, 'sh', place], {
        input: interior(place, places).join('\n'),
      }),
    ),
  );
}

/**
 * The two ends have different indexes on purpose: the kernel holds back news of a carrier for up to a second where a
 * device's index equals its other end's (`linkwatch_urgent_event`), and IPv6 waits for that news.
 */
const link = (outer: string, box: string, device: string, index: number) =>
  `link add eth0 index ${index} netns ${outer} type veth peer name ${device} index ${index + 1} netns ${box}`;

const setUp = `
for dad in /proc/sys/net/ipv6/conf/*/accept_dad; do echo 0 >"$dad"; done
for ask in /proc/sys/net/ipv6/conf/*/router_solicitations; do echo 0 >"$ask"; done
# Memberships are reported at once and not some time in the next second, in the middle of a test that counts.
for report in /proc/sys/net/ipv6/conf/*/mldv[12]_unsolicited_report_interval; do echo 1 >"$report"; done
if [ "$1" = box ]; then
  echo 1 >/proc/sys/net/ipv4/ip_forward
  echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
fi
exec ip -batch -`;

function interior(place: Place, places: Place[]): string[] {
  const device = (name: string, ipv4: string, ipv6: string) => [
    `addr add ${ipv4}/24 dev ${name}`,
    `addr add ${ipv6}/64 dev ${name} nodad`,
    `link set ${name} up`,
  ];
  const lines = ['link set lo up'];
  if (place === 'box') {
    lines.push(...device('toPeer', address[4].box, address[6].box));
    if (places.includes('far')) lines.push(...device('toFar', address[4].boxToFar, address[6].boxToFar));
    return lines;
  }
  const gateway = place === 'peer' ? 'box' : 'boxToFar';
  return [
    ...lines,
    ...device('eth0', address[4][place], address[6][place]),
    `route add default via ${address[4][gateway]}`,
    `route add ::/0 via ${address[6][gateway]}`,
  ];
}

/** Works for names that `ip netns` refuses as well, and for namespaces that are half made. */
async function removeNamespace(name: string): Promise<void> {
  await run('ip', ['netns', 'del', name]).catch(() => {});
}
