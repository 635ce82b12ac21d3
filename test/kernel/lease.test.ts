/** A lease: the kernel lets traffic flow again by itself, and netfreeze says so afterwards. */
import { openSite } from '../../src/freeze/machine';
import { driftOf } from '../../src/freeze/state/drift';
import { readStanding } from '../../src/freeze/state/standing';
import { pin } from '../../src/namespace/namespace';
import { libnftables } from '../../src/nftables/libnftables';
import { monotonicMs, readRecord } from '../../src/record/record';
import { describeEngines } from './rig/describe';
import { openGauge } from './rig/gauge';
import { useLabs } from './rig/lab';
import { expectExit, only } from './rig/netfreeze';
import { together } from './rig/together';
import { patience, sleep, until } from './rig/wait';

/** A lease has to last longer than a machine takes for what is to be seen before its end. */
const short = { text: `${4 * patience}s`, ms: 4000 * patience };
/** One that is renewed before its end, also by a machine that has much else to do. */
const middling = { text: `${5 * patience}s`, ms: 5000 * patience };
const long = `${30 * patience}s`;

describeEngines('a lease', (engine) => {
  const makeLab = useLabs(engine, 'end');

  together({
    'ends by itself: traffic flows, status and verify know it, off cleans up': async () => {
      const lab = await makeLab('router');
      const gauge = await openGauge(lab, 'router');
      const began = performance.now();
      await lab.freeze('--lease', short.text);
      const returned = performance.now();
      expect(await gauge.open()).toEqual([]);
      const frozen = only(expectExit(await lab.netfreeze('status', lab.box, '--json'), 0));
      expect(frozen).toMatchObject({ state: 'frozen', verified: true });
      expect(frozen.lease?.expiresInMs).toBeGreaterThan(0);
      expect(frozen.lease?.expiresInMs).toBeLessThanOrEqual(short.ms);

      await until('the lease ends', 6000, async () => (await gauge.open()).length === gauge.all.length);
      // Not before its time, counted from when it can have begun, nor long after it.
      expect(performance.now() - began).toBeGreaterThan(short.ms);
      expect(performance.now() - returned).toBeLessThan(short.ms + 500 * patience);

      expect(only(expectExit(await lab.netfreeze('status', lab.box, '--json'), 0)).state).toBe('thawed');
      expect((await lab.netfreeze('status', lab.box)).stdout).toContain('thawed (lease ended)');
      expect(await lab.netfreeze('verify', lab.box)).toMatchObject({ exit: 11 });
      expect(await lab.netfreeze('renew', lab.box, '--lease', '5s')).toMatchObject({ exit: 11 });
      // A renewal that came too late has frozen nothing.
      expect(await gauge.open()).toEqual(gauge.all);

      await lab.thaw();
      expect(await lab.nft('box', 'list ruleset')).toBe('');
      expect(await lab.netfreeze('renew', lab.box, '--lease', '5s')).toMatchObject({ exit: 11 });
    },

    'that ends while it is looked at is no drift; one that was emptied before its end is': async () => {
      const lab = await makeLab();
      await lab.freeze('--lease', short.text);
      const engine = async () => libnftables();
      const site = openSite(pin(lab.file('box')), lab.box, { engine, replays: true });
      try {
        const record = readRecord(lab.stateDir, site.namespace);
        const standing = readStanding(site);
        if (!record || !standing) throw new Error('nothing is frozen');
        expect(await driftOf(site, standing, record)).toBeNull();
        await until('the lease ends', 6000, async () => readStanding(site)?.lease.state === 'ended');
        // What is as close as this to its end counts as ended; what was read first is out of date then.
        await sleep(200);
        expect(standing.lease.state).toBe('running');
        expect(await driftOf(site, standing, record)).toBeNull();
        const longer = { ...record, leaseUntilMs: monotonicMs() + 10_000 };
        const now = readStanding(site);
        expect(now && (await driftOf(site, now, longer))).toContain('emptied before its end');
      } finally {
        site.close();
      }
    },

    'of any length is given, renewed, and known again, also where the kernel keeps it in longer ticks': async () => {
      const lab = await makeLab();
      for (const [first, next] of [
        [30_001, 31_002],
        [32_003, 33_007],
      ] as const) {
        await lab.freeze('--lease', `${first * patience}ms`);
        expectExit(await lab.netfreeze('renew', lab.box, '--lease', `${next * patience}ms`), 0);
        expectExit(await lab.netfreeze('verify', lab.box), 0);
      }
      const again = ['on', lab.box, '--lease', `${34_001 * patience}ms`, '--json'];
      expect(only(expectExit(await lab.netfreeze(...again), 0)).notes).toEqual([]);
      expect(only(expectExit(await lab.netfreeze(...again), 0)).notes).toContainEqual(
        expect.stringContaining('nothing was changed'),
      );
      await lab.thaw();
    },

    'that is renewed lasts longer than it did, without an open moment, and can be shortened': async () => {
      const lab = await makeLab();
      const gauge = await openGauge(lab);
      await gauge.open();
      await lab.freeze('--lease', middling.text);
      await gauge.begin();
      expectExit(await lab.netfreeze('renew', lab.box, '--lease', long), 0);
      expectExit(await lab.netfreeze('verify', lab.box), 0);
      await sleep(middling.ms + 200);
      expect(await gauge.end()).toMatchObject({ open: { out4: 0, in4: 0, out6: 0, in6: 0 } });
      expect(only(await lab.netfreeze('status', lab.box, '--json')).lease?.expiresInMs).toBeGreaterThan(
        20_000 * patience,
      );

      expectExit(await lab.netfreeze('renew', lab.box, '--lease', '500ms'), 0);
      await until('the shorter lease ends', 1500, async () => (await gauge.open()).length === gauge.all.length);
    },

    'can be given to an endless freeze, and taken from one, by on': async () => {
      const lab = await makeLab();
      const gauge = await openGauge(lab);
      await lab.freeze();
      expect(only(await lab.netfreeze('status', lab.box, '--json')).lease).toBeNull();
      await lab.freeze('--lease', short.text);
      await lab.freeze();
      await sleep(short.ms + 200);
      expect(await gauge.open()).toEqual([]);
      await lab.freeze('--lease', short.text);
      await until('the lease ends', 6000, async () => (await gauge.open()).length === gauge.all.length);
      // A new freeze where one has ended.
      await lab.freeze();
      expect(await gauge.open()).toEqual([]);
      expectExit(await lab.netfreeze('verify', lab.box), 0);
    },
  });
});
