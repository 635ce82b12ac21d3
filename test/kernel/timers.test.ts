/** TCP's timers during a freeze: connections outlive it, and afterwards every timer is as it was. */
import { readdirSync } from 'node:fs';
import { aloneWith } from './rig/alone';
import { describeOneEngine } from './rig/describe';
import { address, type Lab, useLabs } from './rig/lab';
import { expectExit, only } from './rig/netfreeze';
import { signalled } from './rig/signalled';
import { type Connection, connecting, connection, type OptionName, type SocketEnd } from './rig/sockets';
import { stateIn } from './rig/state';
import { together } from './rig/together';
import { sleep, until } from './rig/wait';

/** Longer than any of the lives below. */
const freezeMs = 6000;
const short = { tcp_retries2: 3, tcp_keepalive_time: 1, tcp_keepalive_intvl: 1, tcp_keepalive_probes: 2 };
const usual = { tcp_syn_retries: 6, tcp_orphan_retries: 0, ...short };
const userTimeout = { TCP_USER_TIMEOUT: 2000 };
const ownKeepalive = { SO_KEEPALIVE: 1, TCP_KEEPIDLE: 2, TCP_KEEPINTVL: 1, TCP_KEEPCNT: 2 };
const alive = { state: 1, error: null };

describeOneEngine("TCP's timers", (engine) => {
  const makeLab = useLabs(engine, 'end');

  /** A box whose connections live for two or three seconds without an answer, each for a reason of its own. */
  async function shortLived() {
    const lab = await makeLab();
    for (const [name, value] of Object.entries(short)) await setting(lab, name, value);
    const connections = await Promise.all([
      connection(lab, { port: 7400 }),
      connection(lab, { port: 7401, set: { TCP_USER_TIMEOUT: 2000 } }),
      connection(lab, { port: 7402, set: { SO_KEEPALIVE: 1 } }),
      connection(lab, { port: 7403, set: ownKeepalive }),
      connection(lab, { port: 7404, family: 6, processIn: 'peer', set: { ...userTimeout, ...ownKeepalive } }),
    ] as const);
    return { lab, connections };
  }

  /** Freezes, writes to the first two connections, and waits until all of them have reached the end of their lives. */
  async function throughFreeze(lab: Lab, [first, second]: readonly Connection[], ...options: string[]) {
    await lab.freeze(...options);
    for (const one of [first, second]) expect(await one?.box.send(1)).toBe(1);
    await sleep(freezeMs);
  }

  together({
    'whose freeze somebody has deleted are put back by off --all too': async () => {
      const lab = await makeLab();
      const before = await settings(lab);
      await lab.freeze('--hold-timers');
      expect(await settings(lab)).not.toEqual(before);
      await lab.nft('box', 'delete table inet netfreeze');
      expectExit(await lab.netfreezeIn({ through: aloneWith(lab) }, 'off', '--all'), 0);
      expect(await settings(lab)).toEqual(before);
      expect(readdirSync(lab.stateDir).filter((file) => file.endsWith('.json'))).toEqual([]);
    },

    'without --hold-timers connections end during the freeze': async () => {
      const { lab, connections } = await shortLived();
      await throughFreeze(lab, connections);
      const ends = await Promise.all(connections.map(({ box }) => box.info()));
      expect(ends.map(({ error }) => error)).toEqual(Array(5).fill('ETIMEDOUT'));
      await lab.thaw();
    },

    'with it they live, go on after the thaw, and everything is as it was': async () => {
      const { lab, connections } = await shortLived();
      await throughFreeze(lab, connections, '--hold-timers');
      expect(await settings(lab)).toEqual({
        tcp_retries2: 255,
        tcp_syn_retries: 127,
        tcp_orphan_retries: 255,
        tcp_keepalive_time: 1,
        tcp_keepalive_intvl: 120,
        tcp_keepalive_probes: 255,
      });
      expect(await own(connections[4].box)).toEqual({
        TCP_USER_TIMEOUT: 0x7fffffff,
        TCP_KEEPIDLE: 32767,
        TCP_KEEPINTVL: 240,
        TCP_KEEPCNT: 127,
      });
      expect((await lab.netfreeze('status', lab.box)).stdout).toMatch(/timers are held/);
      const report = only(expectExit(await lab.netfreeze('off', lab.box, '--json'), 0));
      expect(report.notes).toEqual([]);
      expect(await settings(lab)).toEqual(usual);
      const unset = { TCP_USER_TIMEOUT: 0, TCP_KEEPIDLE: 1, TCP_KEEPINTVL: 1, TCP_KEEPCNT: 2 };
      const timers = await Promise.all(connections.map(({ box }) => own(box)));
      const set = { ...unset, TCP_KEEPIDLE: 2 };
      expect(timers).toEqual([unset, { ...unset, ...userTimeout }, unset, set, { ...set, ...userTimeout }]);
      // Those that were not set follow the namespace's settings as before.
      await setting(lab, 'tcp_keepalive_time', 77);
      expect(await connections[2].box.get('TCP_KEEPIDLE')).toBe(77);
      expect(await connections[3].box.get('TCP_KEEPIDLE')).toBe(2);

      for (const { peer } of connections.slice(0, 2)) expect(await peer.arrival(2000)).not.toBeNull();
      // Longer than the lives that they would have had left.
      await sleep(3000);
      for (const { box, peer } of connections) {
        expect(await box.info()).toEqual(alive);
        await peer.take();
        expect(await box.send(1)).toBe(1);
        expect(await peer.arrival(2000)).not.toBeNull();
      }
    },

    'connections that are being made live, get one more try, and sockets that were closed live as long': async () => {
      const lab = await makeLab();
      await setting(lab, 'tcp_syn_retries', 1);
      // On a kernel before 6.5 there are none.
      await setting(lab, 'tcp_syn_linear_timeouts', 0).catch(() => {});
      await setting(lab, 'tcp_orphan_retries', 1);
      await lab.start('peer', 'listen', { on: [7411, 7412].map((port) => [address[4].peer, port]) });
      const closed = await connection(lab, { port: 7410 });
      await lab.freeze('--hold-timers');
      const making = await connecting(lab, { port: 7411 }, false);
      const ownCount = await connecting(lab, { port: 7412, set: { TCP_SYNCNT: 2 } }, false);
      expect(await closed.box.send(1)).toBe(1);
      await closed.box.close();
      // Made after the freeze, it is not known to it; asked again, it is.
      await lab.freeze('--hold-timers');
      expect(await ownCount.get('TCP_SYNCNT')).toBe(127);
      await sleep(freezeMs);
      for (const end of [making, ownCount]) expect(await end.info()).toEqual({ state: 2, error: null });
      expect(await lab.run('box', 'cat', '/proc/net/tcp')).toContain(`:${(7410).toString(16).toUpperCase()} 04`);
      await lab.thaw();
      expect(await settings(lab)).toMatchObject({ tcp_syn_retries: 1, tcp_orphan_retries: 1 });
      for (const end of [making, ownCount]) {
        await until('it connects', 20_000, async () => (await end.info()).state !== 2);
        expect(await end.info()).toEqual(alive);
      }
    },

    'what somebody changes during the freeze stays': async () => {
      const lab = await makeLab();
      const { box } = await connection(lab, { port: 7420, set: { TCP_USER_TIMEOUT: 2000, ...ownKeepalive } });
      await lab.freeze('--hold-timers');
      await setting(lab, 'tcp_retries2', 9);
      await box.set('TCP_USER_TIMEOUT', 5000);
      const { notes } = only(expectExit(await lab.netfreeze('off', lab.box, '--json'), 0));
      expect(notes).toEqual(['tcp_retries2 was changed to 9 by somebody else, and left']);
      expect(await settings(lab)).toMatchObject({ tcp_retries2: 9, tcp_syn_retries: 6, tcp_keepalive_probes: 9 });
      expect(await own(box)).toEqual({ TCP_USER_TIMEOUT: 5000, TCP_KEEPIDLE: 2, TCP_KEEPINTVL: 1, TCP_KEEPCNT: 2 });
    },

    'a second on keeps the first values, and one without --hold-timers puts them back and stays frozen': async () => {
      const { lab, connections } = await shortLived();
      await lab.freeze('--hold-timers');
      await lab.freeze('--hold-timers', '--lease', '60s');
      const again = only(
        expectExit(await lab.netfreeze('on', lab.box, '--hold-timers', '--lease', '60s', '--json'), 0),
      );
      expect(again.notes).toContain('it was frozen so already: nothing was changed');
      expect((await settings(lab)).tcp_retries2).toBe(255);
      expect((await lab.netfreeze('on', lab.box, '--lease', '60s', '--dry-run')).stdout).toContain(
        "- TCP's timers held",
      );
      await lab.freeze('--lease', '60s');
      expect(await settings(lab)).toEqual(usual);
      expect(await connections[1].box.get('TCP_USER_TIMEOUT')).toBe(2000);
      expectExit(await lab.netfreeze('verify', lab.box), 0);
      await lab.thaw();
      expect(await settings(lab)).toEqual(usual);
    },

    'a lease that ends puts nothing back: status says so, and off does it': async () => {
      const { lab } = await shortLived();
      await lab.freeze('--hold-timers', '--lease', '500ms');
      await sleep(700);
      expect((await lab.netfreeze('status', lab.box)).stdout).toMatch(/timers are still raised/);
      await lab.thaw();
      expect(await settings(lab)).toEqual(usual);
    },

    'two frozen ends of one connection go on, and the timers of both are put back': async () => {
      const lab = await makeLab();
      for (const place of ['box', 'peer'] as const) await setting(lab, 'tcp_retries2', 3, place);
      const both = await connection(lab, { port: 7430 });
      expectExit(await lab.netfreeze('on', lab.box, lab.name('peer'), '--hold-timers'), 0);
      expect(await both.box.send(1)).toBe(1);
      expect(await both.peer.send(1)).toBe(1);
      await sleep(freezeMs);
      expectExit(await lab.netfreeze('off', lab.box, lab.name('peer')), 0);
      for (const place of ['box', 'peer'] as const) expect((await settings(lab, place)).tcp_retries2).toBe(3);
      expect(await both.box.arrival(1000)).not.toBeNull();
      expect(await both.peer.arrival(1000)).not.toBeNull();
      expect(stateIn(lab)).toEqual([]);
    },
  });

  test('netfreeze is killed at any moment: the next command puts everything back', async () => {
    const { lab, connections } = await shortLived();
    const before = await own(connections[4].box);
    for (let round = 0; round < 15; round += 1) {
      if (round % 3 === 2) await lab.freeze('--hold-timers');
      const command = round % 3 === 2 ? ['off', lab.box] : ['on', lab.box, '--hold-timers'];
      await signalled(lab, engine, command, 'SIGKILL', 40 + round * 15);
      // Whichever comes next: a thaw, or a freeze that holds none.
      if (round % 2 === 0) {
        await lab.freeze();
        expect(await settings(lab)).toEqual(usual);
      }
      await lab.thaw();
      expect(await settings(lab)).toEqual(usual);
      expect(await own(connections[4].box)).toEqual(before);
      expect(readdirSync(lab.stateDir).filter((name) => name.endsWith('.json'))).toEqual([]);
    }
  });
});

const fileOf = (name: string) => `/proc/sys/net/ipv4/${name}`;

const setting = (lab: Lab, name: string, value: number, place: 'box' | 'peer' = 'box') =>
  lab.run(place, 'sh', '-c', `echo ${value} >${fileOf(name)}`);

async function settings(lab: Lab, place: 'box' | 'peer' = 'box'): Promise<Record<string, number>> {
  const names = Object.keys(usual);
  const values = (await lab.run(place, 'cat', ...names.map(fileOf))).trim().split('\n').map(Number);
  return Object.fromEntries(names.map((name, at) => [name, values[at] as number]));
}

async function own(end: SocketEnd): Promise<Record<string, number>> {
  const names: OptionName[] = ['TCP_USER_TIMEOUT', 'TCP_KEEPIDLE', 'TCP_KEEPINTVL', 'TCP_KEEPCNT'];
  const values: Record<string, number> = {};
  for (const name of names) values[name] = await end.get(name);
  return values;
}
