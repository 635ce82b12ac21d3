/** The kick: what waits for a backed-off timer after a thaw goes on at once, and what is not ours to push stays as it is. */
import { describeOneEngine } from './rig/describe';
import { families, type Lab, useLabs } from './rig/lab';
import { expectExit, only } from './rig/netfreeze';
import { type Connection, connection, deafen, monotonicMs, type SocketEnd, undeafen } from './rig/sockets';
import { together } from './rig/together';
import { sleep, until } from './rig/wait';

/** Retransmissions come 0.2, 0.6, 1.4, 3.0, 6.2 and 12.6 s after the first try: a freeze that ends in the last gap leaves seconds. */
const freezeMs = 7000;
/** A kick takes milliseconds; these are for a machine that does much else. */
const atOnceMs = 1000;
const stillWaitingMs = 1500;

describeOneEngine('the kick', (engine) => {
  const makeLab = useLabs(engine, 'end');
  const kicked = once(() => kickedLab(makeLab));

  together({
    "data that was written during the freeze leaves at once after it, and without the kick waits for TCP's timer":
      async () => {
        const lab = await makeLab();
        const unkicked = await Promise.all(families.map((family) => connection(lab, { family, port: 7300 + family })));
        await frozen(lab, async () => {
          for (const { box } of unkicked) expect(await box.send(1)).toBe(1);
        });
        const report = await thawed(lab, '--no-kick');
        expect(report.kicked).toBeNull();
        const arrivals = await Promise.all(unkicked.map(({ peer }) => peer.arrival(stillWaitingMs)));
        expect(arrivals).toEqual([null, null]);

        const { after } = await kicked();
        expect(after.sends4).toBeLessThan(atOnceMs);
        expect(after.sends6).toBeLessThan(atOnceMs);
      },

    'data that was sent and lost before the freeze is sent again at once, and SO_REUSEADDR stays as it was':
      async () => {
        const { after, lost } = await kicked();
        expect(after.lost).toBeLessThan(atOnceMs);
        expect(await lost.box.get('SO_REUSEADDR')).toBe(1);
        expect(await lost.box.get('TCP_REPAIR')).toBe(0);
      },

    "what Nagle's rule holds back goes with it, and the rule stays": async () => {
      const { after, nagled } = await kicked();
      expect(after.nagled).toBeLessThan(atOnceMs);
      expect(await nagled.peer.take()).toBe(2);
      expect(await nagled.box.get('TCP_NODELAY')).toBe(0);
      expect(await nagled.box.get('SO_REUSEADDR')).toBe(0);
    },

    'a corked socket is left alone and counted': async () => {
      const { report, corked, after } = await kicked();
      expect(report.kicked?.corked).toBe(1);
      expect(await corked.box.get('TCP_CORK')).toBe(1);
      expect(after.corked).toBe(Number.POSITIVE_INFINITY);
    },

    'a stopped process is no obstacle': async () => {
      expect((await kicked()).after.stopped).toBeLessThan(atOnceMs);
    },

    'a socket whose process is outside of the namespace is found': async () => {
      expect((await kicked()).after.outside).toBeLessThan(atOnceMs);
    },

    'a connection of which the peer has closed its half is kicked': async () => {
      expect((await kicked()).after.half).toBeLessThan(atOnceMs);
    },

    'sockets that were closed are counted as out of reach, idle ones not at all': async () => {
      const { report } = await kicked();
      // Two that send, lost, nagled, stopped, outside, half; not the idle one.
      expect(report.kicked).toEqual({ sockets: 7, corked: 1, unreachable: 1, peers: 0 });
    },

    'a peer that sends goes on at once with --kick-peers only, on IPv4 and IPv6': async () => {
      const labs = [await makeLab(), await makeLab()] as const;
      const [told, untold] = await Promise.all(
        labs.map((lab) =>
          Promise.all(
            families.map((family) => connection(lab, { family, port: 7300 + family, set: { SO_REUSEADDR: 1 } })),
          ),
        ),
      );
      const send =
        (all: Connection[] = []) =>
        async () => {
          for (const { peer } of all) expect(await peer.send(1)).toBe(1);
        };
      await Promise.all([frozen(labs[0], send(told)), frozen(labs[1], send(untold))]);
      const { kicked: nobody } = await thawed(labs[1]);
      expect(nobody).toEqual({ sockets: 0, corked: 0, unreachable: 0, peers: 0 });
      const waiting = Promise.all((untold ?? []).map(({ box }) => box.arrival(stillWaitingMs)));

      const report = await thawed(labs[0], '--kick-peers');
      const ended = monotonicMs();
      expect(report.kicked?.peers).toBe(2);
      for (const { box } of told ?? []) {
        expect(await afterThaw(box, ended)).toBeLessThan(atOnceMs);
        expect(await box.get('SO_REUSEADDR')).toBe(1);
        expect(await box.get('TCP_REPAIR')).toBe(0);
        expect(await box.info()).toEqual({ state: 1, error: null });
      }
      for (const { peer } of told ?? []) expect(await peer.info()).toEqual({ state: 1, error: null });
      expect(await waiting).toEqual([null, null]);
    },

    'a steal needs no kick, but where it has lost packets it is given': async () => {
      const [whole, lossy] = [await makeLab(), await makeLab()];
      for (const [lab, options] of [
        [whole, []],
        [lossy, ['--hold-limit', '1']],
      ] as const) {
        const { box, peer } = await connection(lab, { port: 7300, set: { TCP_NODELAY: 1 } });
        await lab.freeze('--mode', 'steal', ...options);
        for (let turn = 0; turn < 3; turn += 1) expect(await box.send(1)).toBe(1);
        await sleep(freezeMs);
        const report = await thawed(lab);
        const ended = monotonicMs();
        expect(report.kicked).toEqual(lab === whole ? null : { sockets: 1, corked: 0, unreachable: 0, peers: 0 });
        if (lab === lossy) expect(report.held?.out.lost).toBeGreaterThan(0);
        else expect(report.held?.out.lost).toBe(0);
        expect(await afterThaw(peer, ended)).toBeLessThan(atOnceMs);
        await until('all of it comes', atOnceMs, async () => (await peer.take()) === 3);
      }
    },

    'two frozen ends of one connection are kicked when both are thawed': async () => {
      const lab = await makeLab();
      const both = await connection(lab, { port: 7300 });
      expectExit(await lab.netfreeze('on', lab.box, lab.name('peer')), 0);
      expect(await both.box.send(1)).toBe(1);
      expect(await both.peer.send(1)).toBe(1);
      await sleep(freezeMs);
      const outcome = expectExit(await lab.netfreeze('off', lab.box, lab.name('peer'), '--json'), 0);
      const ended = monotonicMs();
      expect(outcome.report.targets.map(({ kicked: own }) => own?.sockets)).toEqual([1, 1]);
      expect(await afterThaw(both.box, ended)).toBeLessThan(atOnceMs);
      expect(await afterThaw(both.peer, ended)).toBeLessThan(atOnceMs);
    },
  });

  test.each(['--no-kick', '--discard'])('%s and --kick-peers exclude each other', async (option) => {
    const lab = await makeLab();
    expectExit(await lab.netfreeze('off', lab.box, option, '--kick-peers'), 2);
  });
});

/** One lab with a connection of each kind, through one freeze. */
async function kickedLab(makeLab: () => Promise<Lab>) {
  const lab = await makeLab();
  const one = (port: number, making = {}) => connection(lab, { port, ...making });
  const sends = await Promise.all(families.map((family) => one(7300 + family, { family })));
  const [lost, nagled, corked, stopped, outside, half, closed] = await Promise.all([
    one(7310, { set: { SO_REUSEADDR: 1 } }),
    one(7311),
    one(7312),
    one(7313),
    one(7314, { processIn: 'peer' }),
    one(7315),
    one(7316),
    one(7317),
  ]);
  const stoppedPid = await stopped.box.pid();
  await half.peer.shut();
  await deafen(lab, 'peer');
  await lost.box.send(1);
  await nagled.box.send(1);
  await nagled.box.send(1);
  await frozen(lab, async () => {
    await undeafen(lab, 'peer');
    await corked.box.set('TCP_CORK', 1);
    for (const { box } of [...sends, corked, stopped, outside, half, closed]) expect(await box.send(1)).toBe(1);
    await closed.box.close();
    process.kill(stoppedPid, 'SIGSTOP');
  });
  const report = await thawed(lab);
  const ended = monotonicMs();
  const watched = { sends4: sends[0], sends6: sends[1], lost, nagled, corked, stopped, outside, half };
  const arrivals = await Promise.all(
    Object.entries(watched).map(async ([name, one]) => [name, await afterThaw(one?.peer as SocketEnd, ended)] as const),
  );
  process.kill(stoppedPid, 'SIGCONT');
  return { report, lost, nagled, corked, after: Object.fromEntries(arrivals) as Record<keyof typeof watched, number> };
}

/** Freezes the box, does what is to be done during the freeze, and waits until timers are far apart. */
async function frozen(lab: Lab, during: () => Promise<void>): Promise<void> {
  await lab.freeze();
  const began = performance.now();
  await during();
  await sleep(freezeMs - (performance.now() - began));
}

const thawed = async (lab: Lab, ...options: string[]) =>
  only(expectExit(await lab.netfreeze('off', lab.box, '--json', ...options), 0));

/** @returns how long after the thaw data came, in milliseconds; none at all is Infinity */
async function afterThaw(end: SocketEnd, thawedAt: number): Promise<number> {
  return ((await end.arrival(atOnceMs)) ?? Number.POSITIVE_INFINITY) - thawedAt;
}

/** Several tests look at one thing. */
function once<Result>(make: () => Promise<Result>): () => Promise<Result> {
  let made: Promise<Result> | undefined;
  return () => {
    made ??= make();
    return made;
  };
}
