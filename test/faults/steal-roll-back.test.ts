/**
 * What is left when something fails in the middle of a steal: what was held meanwhile goes on, or is held on by the freeze
 * that stood before. The faults come when the freeze is read back for the first time, with packets in its queues.
 */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { freeze } from '../../src/freeze/freeze';
import type { Machine } from '../../src/freeze/machine';
import type { FreezeRequest } from '../../src/freeze/work';
import { type NamespaceId, sameNamespace } from '../../src/namespace/namespace';
import { type Engine, NftRefusal } from '../../src/nftables/engine';
import { libnftables } from '../../src/nftables/libnftables';
import { nftProgram } from '../../src/nftables/nft-program';
import { type FreezeRecord, stateName } from '../../src/record/record';
import { counted, countingLab } from '../kernel/rig/counting';
import { describeEngines, nftEngines } from '../kernel/rig/describe';
import { openGauge } from '../kernel/rig/gauge';
import { requestOf } from '../kernel/rig/in-process';
import { keeperOf, keepersNamed } from '../kernel/rig/keeper';
import { address, type Lab, useLabs } from '../kernel/rig/lab';
import { expectExit, only } from '../kernel/rig/netfreeze';
import { send } from '../kernel/rig/packets';
import { sleep, until } from '../kernel/rig/wait';

const job = { kind: 'udp', family: 4, from: address[4].peer, to: address[4].box, count: 10 } as const;

/** What happens at the moment of the fault; what it returns is listed instead of the kernel's state. */
type Fault = (lab: Lab) => undefined | string[] | Promise<undefined | string[]>;

const request = (lease: string | null, holdLimit?: number): Promise<FreezeRequest> =>
  requestOf({ mode: 'steal', lease: lease ?? undefined, 'hold-limit': holdLimit?.toString() });

const records = (lab: Lab) => readdirSync(lab.stateDir).filter((file) => file.endsWith('.json'));

const phases = (lab: Lab): string[] =>
  records(lab).map((file) => (JSON.parse(readFileSync(join(lab.stateDir, file), 'utf8')) as FreezeRecord).phase);

const boxOf = (lab: Lab): NamespaceId => {
  const { dev, ino } = statSync(lab.file('box'));
  return { device: dev, inode: ino };
};

const keepers = (lab: Lab): number[] => keepersNamed(stateName(boxOf(lab)));
const queues = (lab: Lab): Promise<string> => lab.run('box', 'cat', '/proc/self/net/netfilter/nfnetlink_queue');
const inBox =
  (script: string) =>
  (lab: Lab): undefined => {
    execFileSync('nsenter', [`--net=${lab.file('box')}`, 'nft', script]);
  };

const faults: Array<[what: string, fault: Fault]> = [
  ['a rule is changed behind its back', inBox('insert rule inet netfreeze output meta mark 9 accept')],
  ['the lease is emptied', inBox('flush set inet netfreeze lease')],
  ['half of the lease is missing', inBox('delete element inet netfreeze lease { ipv6 }')],
  ['nft answers nonsense', () => ['{"nftables": [{"metainfo": {']],
  ['nft can no longer list', () => Promise.reject(new NftRefusal('Error: Interrupted', ''))],
];

describeEngines(
  'roll-back of a steal',
  (name) => {
    const makeLab = useLabs(name);

    /** A machine on which packets come in and something fails when a new freeze of the box is read back. */
    async function machineWith(lab: Lab, fault: Fault): Promise<Machine> {
      const engine = await (name === 'nft' ? nftProgram() : libnftables());
      let happened = false;
      const faulty: Engine = {
        name: engine.name,
        open(namespace) {
          const session = engine.open(namespace);
          if (!sameNamespace(namespace, boxOf(lab))) return session;
          return {
            ...session,
            async listJson(tables) {
              if (happened || !phases(lab).includes('freezing')) return session.listJson(tables);
              happened = true;
              await send(lab, 'peer', [job]);
              return (await fault(lab)) ?? session.listJson(tables);
            },
          };
        },
      };
      return { stateDirectory: lab.stateDir, engine: async () => faulty, replays: false };
    }

    const missingRule = inBox('flush chain inet netfreeze output');

    async function expectNothingLeft(lab: Lab): Promise<void> {
      expect(await lab.nft('box', 'list tables')).toBe('table inet count\n');
      expect(await queues(lab)).toBe('');
      expect(keepers(lab)).toEqual([]);
      expect(records(lab)).toEqual([]);
    }

    test.each(faults)('%s: nothing stands, as before, and what was held goes on', async (_, fault) => {
      const lab = await countingLab(makeLab);
      const { failure, targets } = await freeze([lab.box], await request(null), await machineWith(lab, fault));
      expect(failure).toMatchObject({ exit: 6, code: 'not-verified' });
      expect(targets).toMatchObject([{ state: 'absent', verified: false }]);
      expect(targets[0]?.error?.message).toMatch(/Rolled back: no freeze stands, as before/);
      await expectNothingLeft(lab);
      expect(await counted(lab)).toBe(10);
      await send(lab, 'peer', [job]);
      expect(await counted(lab)).toBe(20);
    });

    test('a rule is missing: nothing stands, as before, and what was held goes on', async () => {
      const lab = await countingLab(makeLab);
      await freeze([lab.box], await request(null), await machineWith(lab, missingRule));
      await expectNothingLeft(lab);
      expect(await counted(lab)).toBe(10);
    });

    test('a rule of a steal goes: off gives back what is held all the same, and ends its keeper', async () => {
      const lab = await countingLab(makeLab);
      await lab.freeze('--mode', 'steal');
      await send(lab, 'peer', [job]);
      missingRule(lab);
      await lab.thaw();
      const [left, came] = [keepers(lab), await counted(lab)];
      for (const pid of left) process.kill(pid, 'SIGKILL');
      expect({ left, came }).toEqual({ left: [], came: 10 });
    });

    test.each([
      ['its table is deleted', inBox('delete table inet netfreeze')],
      ['its hook is deleted', inBox('flush chain inet netfreeze output; delete chain inet netfreeze output')],
    ] as Array<[string, Fault]>)('%s, and what it held with it: nothing stands, as before', async (_, fault) => {
      const lab = await countingLab(makeLab);
      const { failure } = await freeze([lab.box], await request(null), await machineWith(lab, fault));
      expect(failure).toMatchObject({ exit: 6, code: 'not-verified' });
      await expectNothingLeft(lab);
      expect(await counted(lab)).toBe(0);
      await send(lab, 'peer', [job]);
      expect(await counted(lab)).toBe(10);
    });

    test('the keeper is killed: nothing stands, as before, and everything is open', async () => {
      const lab = await countingLab(makeLab);
      const kill: Fault = async () => {
        for (const pid of keepers(lab)) process.kill(pid, 'SIGKILL');
        await until('the keeper is gone', 2000, async () => keepers(lab).length === 0);
        return undefined;
      };
      const { failure } = await freeze([lab.box], await request(null), await machineWith(lab, kill));
      expect(failure).toMatchObject({ exit: 6, code: 'not-verified' });
      expect(failure?.message).toMatch(/keeper/);
      await expectNothingLeft(lab);
      const before = await counted(lab);
      await send(lab, 'peer', [job]);
      expect(await counted(lab)).toBe(before + 10);
    });

    test('a signal: undone, what was held goes on, and the process ends as the signal says', async () => {
      const lab = await countingLab(makeLab);
      const signal: Fault = async () => {
        process.emit('SIGTERM', 'SIGTERM');
        await sleep(20);
        return undefined;
      };
      const { failure, targets } = await freeze([lab.box], await request('1m'), await machineWith(lab, signal));
      expect(failure).toMatchObject({ code: 'interrupted', exit: 143 });
      expect(targets).toMatchObject([{ state: 'absent' }]);
      await expectNothingLeft(lab);
      expect(await counted(lab)).toBe(10);
    });

    test('one of two targets fails: what the other one held goes on too', async () => {
      const lab = await countingLab(makeLab);
      const machine = await machineWith(lab, inBox('flush set inet netfreeze lease'));
      const { targets } = await freeze([lab.name('peer'), lab.box], await request(null), machine);
      expect(targets).toMatchObject([
        { state: 'absent', error: { code: 'rolled-back', exit: 6 } },
        { state: 'absent', error: { code: 'not-verified', exit: 6 } },
      ]);
      await expectNothingLeft(lab);
      expect(await lab.nft('peer', 'list ruleset')).toBe('');
      // The peer's own queue held them on their way out.
      await until('the packets go on', 2000, async () => (await counted(lab)) === 10);
    });

    describe('over an earlier steal', () => {
      /** An earlier steal that holds ten packets. @returns its keeper */
      async function earlier(lab: Lab, ...options: string[]): Promise<number> {
        await lab.freeze('--mode', 'steal', '--reason', 'the earlier one', ...options);
        await send(lab, 'peer', [job]);
        return keeperOf(lab);
      }

      test.each([
        ...faults.filter(([title]) => !title.startsWith('nft ')),
        ['a rule is missing', missingRule] as [string, Fault],
        [
          'a signal',
          async () => {
            process.emit('SIGTERM', 'SIGTERM');
            await sleep(20);
            return undefined;
          },
        ] as [string, Fault],
      ])('%s: it stands again with its end, its keeper and all that is held', async (_, fault) => {
        const lab = await countingLab(makeLab);
        const gauge = await openGauge(lab);
        const keeper = await earlier(lab, '--lease', '60s');
        const before = await lab.nft('box', '-s', 'list table inet netfreeze');
        const { failure, targets } = await freeze([lab.box], await request('120s'), await machineWith(lab, fault));
        expect([6, 143]).toContain(failure?.exit);
        expect(targets).toMatchObject([{ state: 'frozen', reason: 'the earlier one' }]);
        expect(targets[0]?.lease?.expiresInMs).toBeLessThan(60_000);
        expect(await lab.nft('box', '-s', 'list table inet netfreeze')).toBe(before);
        expect(keepers(lab)).toEqual([keeper]);
        expectExit(await lab.netfreeze('verify', lab.box), 0);
        const { held } = only(expectExit(await lab.netfreeze('status', lab.box, '--json'), 0));
        expect(held?.in).toEqual({ held: 20, released: 0, lost: 0 });
        expect(await counted(lab)).toBe(0);
        expect(await gauge.open()).toEqual([]);
        expect((await lab.thaw()).stdout).toMatch(/given back: [0-9]+ in .*nothing lost/);
        // The gauge's own packets came as well.
        expect(await counted(lab)).toBeGreaterThanOrEqual(20);
        await expectNothingLeft(lab);
      });

      test('it holds as many packets as before', async () => {
        const lab = await countingLab(makeLab);
        await earlier(lab, '--hold-limit', '100');
        const machine = await machineWith(lab, inBox('insert rule inet netfreeze output accept'));
        await freeze([lab.box], await request(null, 25), machine);
        await send(lab, 'peer', [{ ...job, count: 50 }]);
        const { held } = only(expectExit(await lab.netfreeze('status', lab.box, '--json'), 0));
        expect(held?.in).toEqual({ held: 70, released: 0, lost: 0 });
      });

      test('it ends when it would have ended, and its keeper gives back what both have held', async () => {
        const lab = await countingLab(makeLab);
        await earlier(lab, '--lease', '10s');
        const machine = await machineWith(lab, inBox('insert rule inet netfreeze output accept'));
        const { targets } = await freeze([lab.box], await request('60s'), machine);
        expect(targets[0]?.error?.message).toMatch(/the earlier freeze stands/);
        expect(await counted(lab)).toBe(0);
        await until('the packets go on', 15_000, async () => (await counted(lab)) === 20);
        expect((await lab.thaw()).stdout).toMatch(/given back: 20 in .*nothing lost/);
      });

      test('it has come to its end meanwhile: thawed, and what was held goes on', async () => {
        const lab = await countingLab(makeLab);
        const began = performance.now();
        await earlier(lab, '--lease', '6s');
        const took = performance.now() - began;
        const slow: Fault = async () => {
          // From before the lease began, so that it is over by then, however slow the machine is.
          await sleep(Math.max(0, 6100 - (performance.now() - began) + took));
          return inBox('insert rule inet netfreeze output accept')(lab);
        };
        const { failure } = await freeze([lab.box], await request(null), await machineWith(lab, slow));
        expect(failure).toMatchObject({ exit: 6 });
        await expectNothingLeft(lab);
        expect(await counted(lab)).toBe(20);
      });
    });
  },
  nftEngines,
);
