/** The end of a lease with packets held: they go on at once, or not at all. */
import { rmSync } from 'node:fs';
import { renew } from '../../src/freeze/renew';
import type { Engine } from '../../src/nftables/engine';
import { libnftables } from '../../src/nftables/libnftables';
import { counted, countingLab } from './rig/counting';
import { describeOneEngine } from './rig/describe';
import { keeperOf } from './rig/keeper';
import { address, type Lab, useLabs } from './rig/lab';
import { expectExit, only } from './rig/netfreeze';
import { send } from './rig/packets';
import { together } from './rig/together';
import { patience, sleep, until } from './rig/wait';

/** Leases that last longer than a slow machine takes for what is to be done before their end. */
const shortest = { text: `${3 * patience}s`, ms: 3000 * patience };
const short = { text: `${4 * patience}s`, ms: 4000 * patience };
const long = { text: `${6 * patience}s`, ms: 6000 * patience };

const job = { kind: 'udp', family: 4, from: address[4].peer, to: address[4].box, count: 10 } as const;

/** The engine, but the lease is emptied in the middle of a renewal: right before its second listing, or after its load. */
function emptying(lab: Lab, moment: 'before the load' | 'after the load'): Engine {
  const real = libnftables();
  const empty = () => lab.nft('box', 'flush set inet netfreeze lease');
  let listings = 0;
  return {
    name: real.name,
    open(namespace) {
      const session = real.open(namespace);
      return {
        ...session,
        async listJson(tables) {
          listings += 1;
          if (moment === 'before the load' && listings === 2) await empty();
          return session.listJson(tables);
        },
        async load(text) {
          await session.load(text);
          if (moment === 'after the load') await empty();
        },
      };
    },
  };
}

describeOneEngine('the end of a lease', (engine) => {
  const makeLab = useLabs(engine, 'end');

  together({
    'gives back what is held, at once, and status and off know what it was': async () => {
      const lab = await countingLab(makeLab);
      await lab.freeze('--mode', 'steal', '--lease', shortest.text);
      await send(lab, 'peer', [job]);
      expect(await counted(lab)).toBe(0);
      await until('the packets go on', shortest.ms + 3000, async () => (await counted(lab)) === 10);
      const ended = only(expectExit(await lab.netfreeze('status', lab.box, '--json'), 0));
      expect(ended).toMatchObject({ state: 'thawed', held: { in: { held: 0, released: 10, lost: 0 } } });
      expectExit(await lab.netfreeze('verify', lab.box), 11);
      expect((await lab.thaw()).stdout).toMatch(/given back: 10 in and 0 out; nothing lost/);
    },

    'is remembered when the keeper is gone: what it gave back is not called lost': async () => {
      const lab = await countingLab(makeLab);
      await lab.freeze('--mode', 'steal', '--lease', short.text);
      await send(lab, 'peer', [job]);
      await until('the packets go on', short.ms + 3000, async () => (await counted(lab)) === 10);
      process.kill(await keeperOf(lab), 'SIGKILL');
      const ended = only(expectExit(await lab.netfreeze('status', lab.box, '--json'), 0));
      expect(ended.held?.in).toEqual({ held: 0, released: 10, lost: 0 });
      expect((await lab.thaw()).stdout).toMatch(/given back: 10 in and 0 out; nothing lost/);
    },

    'that was renewed in time lies where the renewal put it': async () => {
      const lab = await countingLab(makeLab);
      await lab.freeze('--mode', 'steal', '--lease', long.text);
      await send(lab, 'peer', [job]);
      expectExit(await lab.netfreeze('renew', lab.box, '--lease', '10m'), 0);
      await sleep(long.ms + 1000);
      expect(await counted(lab)).toBe(0);
      expectExit(await lab.netfreeze('verify', lab.box), 0);
      expectExit(await lab.netfreeze('renew', lab.box, '--lease', '1s'), 0);
      await until('the packets go on', 6000, async () => (await counted(lab)) === 10);
      expect((await lab.thaw()).stdout).toMatch(/given back: 10 in and 0 out; nothing lost/);
    },

    'comes in the middle of its renewal: the renewal is none, and who held gives back': async () => {
      for (const moment of ['before the load', 'after the load'] as const) {
        const lab = await countingLab(makeLab);
        await lab.freeze('--mode', 'steal', '--lease', short.text);
        await send(lab, 'peer', [job]);
        const keeper = await keeperOf(lab);
        const { failure } = await renew([lab.box], null, {
          stateDirectory: lab.stateDir,
          // Where a freeze has an imprint, nothing is listed to see whether it has drifted.
          engine: async () => emptying(lab, moment),
          replays: false,
        });
        expect(failure).toMatchObject({ code: 'not-frozen', exit: 11 });
        expect(await keeperOf(lab)).toBe(keeper);
        await until('the packets go on', short.ms + 3000, async () => (await counted(lab)) === 10);
        expect((await lab.thaw()).stdout).toMatch(/given back: 10 in and 0 out; nothing lost/);
      }
    },

    'comes while the keeper is stopped: what is held is discarded by whoever comes later, and counted as lost':
      async () => {
        const lab = await countingLab(makeLab);
        await lab.freeze('--mode', 'steal', '--lease', long.text);
        await send(lab, 'peer', [job]);
        process.kill(await keeperOf(lab), 'SIGSTOP');
        await sleep(long.ms + 1500);
        const ended = only(expectExit(await lab.netfreeze('status', lab.box, '--json'), 0));
        expect(ended).toMatchObject({ state: 'thawed', held: { in: { held: 10, released: 0, lost: 0 } } });
        const thawed = expectExit(await lab.netfreeze('off', lab.box), 0);
        expect(thawed.stdout).toMatch(/given back: 0 in and 0 out; LOST: 10 in/);
        expect(thawed.stderr).toMatch(/long after the lease had ended/);
        expect(await counted(lab)).toBe(0);
      },

    'comes while the keeper is stopped and no record is left: it is told from the keeper how late it is': async () => {
      const lab = await countingLab(makeLab);
      await lab.freeze('--mode', 'steal', '--lease', long.text);
      await send(lab, 'peer', [job]);
      process.kill(await keeperOf(lab), 'SIGSTOP');
      rmSync(lab.stateDir, { recursive: true });
      await sleep(long.ms + 1500);
      expect((await lab.thaw()).stdout).toMatch(/given back: 0 in and 0 out; LOST: 10 in/);
      expect(await counted(lab)).toBe(0);
    },

    'comes while the keeper is stopped: it discards by itself when it wakes': async () => {
      const lab = await countingLab(makeLab);
      await lab.freeze('--mode', 'steal', '--lease', long.text);
      await send(lab, 'peer', [job]);
      const keeper = await keeperOf(lab);
      process.kill(keeper, 'SIGSTOP');
      await sleep(long.ms + 1500);
      process.kill(keeper, 'SIGCONT');
      await until('the keeper discards', 8000, async () => (await heldIn(lab)) === 0);
      expect(await counted(lab)).toBe(0);
      expect((await lab.thaw()).stdout).toMatch(/given back: 0 in and 0 out; LOST: 10 in/);
    },

    'a new freeze where one has ended holds anew': async () => {
      const lab = await countingLab(makeLab);
      await lab.freeze('--mode', 'steal', '--lease', short.text);
      await send(lab, 'peer', [job]);
      await until('the packets go on', short.ms + 3000, async () => (await counted(lab)) === 10);
      await lab.freeze('--mode', 'steal');
      await send(lab, 'peer', [job]);
      const held = only(expectExit(await lab.netfreeze('status', lab.box, '--json'), 0)).held;
      expect(held?.in).toEqual({ held: 10, released: 0, lost: 0 });
      expect(await counted(lab)).toBe(10);
      await lab.thaw();
      expect(await counted(lab)).toBe(20);
    },
  });
});

const heldIn = async (lab: Lab): Promise<number> =>
  only(expectExit(await lab.netfreeze('status', lab.box, '--json'), 0)).held?.in.held ?? -1;
