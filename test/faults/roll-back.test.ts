/**
 * What is left when something fails in the middle of a freeze. The faults come through the engine's interface, from an
 * engine that is real but for one moment, or by really changing the kernel's state at that moment.
 */
import { execFileSync, spawn } from 'node:child_process';
import { rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freeze } from '../../src/freeze/freeze';
import type { Machine } from '../../src/freeze/machine';
import { thaw } from '../../src/freeze/thaw';
import type { FreezeRequest } from '../../src/freeze/work';
import { type NamespaceId, sameNamespace } from '../../src/namespace/namespace';
import { type Engine, NftRefusal, type Session } from '../../src/nftables/engine';
import { libnftables } from '../../src/nftables/libnftables';
import { nftProgram } from '../../src/nftables/nft-program';
import { describeEngines, nftEngines } from '../kernel/rig/describe';
import { openGauge } from '../kernel/rig/gauge';
import { requestOf } from '../kernel/rig/in-process';
import { type Lab, useLabs } from '../kernel/rig/lab';

import { expectExit } from '../kernel/rig/netfreeze';
import { connection } from '../kernel/rig/sockets';
import { stateIn } from '../kernel/rig/state';
import { patience, until } from '../kernel/rig/wait';

/** What an engine does otherwise than it should, in the target's namespace only: never in the rehearsal's. */
type Fault = (session: Session) => Partial<Session>;

const request = (lease: string | null = null, holdTimers = false): Promise<FreezeRequest> =>
  requestOf({ lease: lease ?? undefined }, holdTimers);

describeEngines(
  'roll-back',
  (name) => {
    const makeLab = useLabs(name);
    const realEngine = async () => (name === 'nft' ? nftProgram() : libnftables());

    /** A machine whose engine has a fault in the lab's box, or in another namespace's file. */
    async function machineWith(lab: Lab, fault: Fault, file = lab.file('box')): Promise<Machine> {
      const engine = await realEngine();
      const { dev, ino } = statSync(file);
      const place: NamespaceId = { device: dev, inode: ino };
      const faulty: Engine = {
        name: engine.name,
        open(namespace) {
          const session = engine.open(namespace);
          return sameNamespace(namespace, place) ? { ...session, ...fault(session) } : session;
        },
      };
      return { stateDirectory: lab.stateDir, engine: async () => faulty, replays: false };
    }

    /** Changes the kernel's state right after the freeze was loaded. */
    const afterLoading =
      (lab: Lab, script: string): Fault =>
      (session) => {
        let first = true;
        return {
          async load(text) {
            await session.load(text);
            if (first) inBox(lab, script);
            first = false;
          },
        };
      };

    function inBox(lab: Lab, script: string): void {
      execFileSync('nsenter', [`--net=${lab.file('box')}`, 'nft', script]);
    }

    const records = stateIn;

    /** Rules of their own, which no fault may touch, and everything open. */
    async function busyLab(): Promise<Lab> {
      const lab = await makeLab();
      await lab.nft(
        'box',
        'add table inet theirs; add chain inet theirs c { type filter hook output priority 0; }; add rule inet theirs c counter',
      );
      return lab;
    }

    const faults: Array<[string, (lab: Lab) => Fault, RegExp]> = [
      [
        'a rule is changed behind its back',
        (lab) => afterLoading(lab, 'insert rule inet netfreeze output meta mark 9 accept'),
        /meta mark 0x00000009 accept/,
      ],
      [
        'a hook is missing',
        (lab) => afterLoading(lab, 'flush chain inet netfreeze output; delete chain inet netfreeze output'),
        /missing: hook of chain inet netfreeze output/,
      ],
      ['the lease is emptied', (lab) => afterLoading(lab, 'flush set inet netfreeze lease'), /lease/],
      [
        'half of the lease is missing',
        (lab) => afterLoading(lab, 'delete element inet netfreeze lease { ipv6 }'),
        /lease/,
      ],
      [
        'the table is deleted',
        (lab) => afterLoading(lab, 'delete table inet netfreeze'),
        /missing: table inet netfreeze/,
      ],
      [
        'nft refuses',
        () => () => ({
          load: async (text) => Promise.reject(new NftRefusal('Error: Could not process rule: No buffer space', text)),
        }),
        /nft refused .* No buffer space[\s\S]*1 {2}# netfreeze/,
      ],
      [
        'nft answers nonsense',
        () => () => ({ listJson: async () => ['{"nftables": [{"metainfo": {'] }),
        /could not be read back/,
      ],
      [
        'nft can no longer list',
        () => (session) => ({
          listJson: async () => Promise.reject(new NftRefusal('Error: Interrupted', String(session))),
        }),
        /could not be read back/,
      ],
    ];

    test.each(faults)('%s: exit 6, and nothing stands, as before', async (_, fault, message) => {
      const lab = await busyLab();
      const gauge = await openGauge(lab);
      const before = await lab.nft('box', '-a', '-s', 'list ruleset');
      const { failure, targets } = await freeze([lab.box], await request(), await machineWith(lab, fault(lab)));
      expect(failure).toMatchObject({ exit: 6 });
      expect(failure?.message).toMatch(message);
      expect(targets).toMatchObject([{ state: 'absent', verified: false, error: { exit: 6 } }]);
      expect(targets[0]?.error?.message).toMatch(/Rolled back: no freeze stands, as before/);
      expect(await lab.nft('box', '-a', '-s', 'list ruleset')).toBe(before);
      expect(records(lab)).toEqual([]);
      expect(await gauge.open()).toEqual(gauge.all);
    });

    const faultsOfReplacements = faults.filter(
      ([title]) => !title.startsWith('nft answers') && !title.startsWith('nft can'),
    );

    test.each(faultsOfReplacements)(
      '%s, in place of an earlier freeze: that one stands again, with the end that it had',
      async (_, fault) => {
        const lab = await busyLab();
        const gauge = await openGauge(lab);
        await lab.freeze('--lease', `${20 * patience}s`, '--allow-mark', '0x7', '--reason', 'the earlier one');
        const before = await lab.nft('box', '-s', 'list table inet netfreeze');
        const { failure, targets } = await freeze(
          [lab.box],
          await request(`${60 * patience}s`),
          await machineWith(lab, fault(lab)),
        );
        expect(failure?.exit).toBe(6);
        expect(targets).toMatchObject([{ state: 'frozen', reason: 'the earlier one' }]);
        expect(targets[0]?.error?.message).toMatch(/Rolled back: the earlier freeze stands/);
        expect(targets[0]?.lease?.expiresInMs).toBeLessThan(20_000 * patience);
        expect(await lab.nft('box', '-s', 'list table inet netfreeze')).toBe(before);
        expect(await lab.netfreeze('verify', lab.box)).toMatchObject({ exit: 0 });
        expect(await gauge.open()).toEqual([]);
      },
    );

    test('an earlier freeze that stands again ends when it would have ended', async () => {
      const lab = await busyLab();
      const gauge = await openGauge(lab);
      await lab.freeze('--lease', `${3 * patience}s`);
      const frozenAt = performance.now();
      const fault = afterLoading(lab, 'insert rule inet netfreeze output accept');
      const { targets } = await freeze([lab.box], await request(`${60 * patience}s`), await machineWith(lab, fault));
      expect(targets[0]?.error?.message).toMatch(/the earlier freeze stands/);
      expect(await gauge.open()).toEqual([]);
      await new Promise((done) => setTimeout(done, 3000 * patience + 100 - (performance.now() - frozenAt)));
      expect(await gauge.open()).toEqual(gauge.all);
    });

    test('the earlier freeze has come to its end meanwhile: thawed', async () => {
      const lab = await busyLab();
      const gauge = await openGauge(lab);
      await lab.freeze('--lease', `${patience}s`);
      const slow: Fault = (session) => ({
        async load(text) {
          await session.load(text);
          if (!text.startsWith('# netfreeze')) return;
          await new Promise((done) => setTimeout(done, 1000 * patience + 200));
          inBox(lab, 'insert rule inet netfreeze output accept');
        },
      });
      const { failure } = await freeze([lab.box], await request(), await machineWith(lab, slow));
      expect(failure?.exit).toBe(6);
      expect(failure?.code).toBe('not-verified');
      expect(await lab.nft('box', 'list tables')).toBe('table inet theirs\n');
      expect(records(lab)).toEqual([]);
      expect(await gauge.open()).toEqual(gauge.all);
    });

    test('the namespace is gone in the middle, and another has its name: exit 3', async () => {
      const lab = await busyLab();
      const fault: Fault = (session) => ({
        async load(text) {
          await session.load(text);
          execFileSync('ip', ['netns', 'del', lab.box]);
          execFileSync('ip', ['netns', 'add', lab.box]);
        },
      });
      const { failure, targets } = await freeze([lab.box], await request(), await machineWith(lab, fault));
      expect(failure).toMatchObject({ exit: 3, code: 'target-gone' });
      expect(targets).toMatchObject([{ state: 'absent' }]);
      expect(records(lab)).toEqual([]);
      expect(await lab.nft('box', 'list ruleset')).toBe('');
    });

    test('the roll-back fails too, for the table has got an owner: exit 7, and what a person has to do', async () => {
      const lab = await busyLab();
      // Nobody but the owner may delete it, and it goes with the owner's socket.
      const owner = spawn('nsenter', [`--net=${lab.file('box')}`, 'nft', '-i'], {
        stdio: ['pipe', 'ignore', 'ignore'],
      });
      try {
        const fault: Fault = (session) => ({
          async load(text) {
            await session.load(text);
            const owned = 'flags owner; set lease { type nf_proto; flags timeout; elements = { ipv4 } }';
            owner.stdin?.write(`delete table inet netfreeze; add table inet netfreeze { ${owned}; }\n`);
            await until('it has an owner', 5000, async () =>
              (await lab.nft('box', 'list table inet netfreeze')).includes('owner'),
            );
          },
        });
        const { failure, targets } = await freeze([lab.box], await request(), await machineWith(lab, fault));
        expect(failure).toMatchObject({ exit: 7, code: 'rollback-failed' });
        expect(failure?.message).toMatch(/\(EPERM\)/);
        expect(failure?.suggestions.join(' ')).toMatch(/nft delete table inet netfreeze/);
        expect(targets).toMatchObject([{ state: 'failed' }]);
      } finally {
        owner.stdin?.end();
      }
      await until('the owner goes', 5000, async () => (await lab.nft('box', 'list tables')) === 'table inet theirs\n');
      expect(await lab.netfreeze('off', lab.box)).toMatchObject({ exit: 0 });
    });

    test('one of two targets fails: both are as before, and each says why', async () => {
      const lab = await busyLab();
      const fault: Fault = (session) => ({
        load: async (text) =>
          text.startsWith('#') ? Promise.reject(new NftRefusal('Error: no', text)) : session.load(text),
      });
      const machine = await machineWith(lab, fault);
      const { failure, targets } = await freeze([lab.name('peer'), lab.box], await request(), machine);
      expect(failure).toMatchObject({ exit: 6, code: 'apply-refused' });
      expect(targets).toMatchObject([
        { target: `netns:${lab.name('peer')}`, state: 'absent', error: { code: 'rolled-back', exit: 6 } },
        { target: `netns:${lab.box}`, state: 'absent', error: { code: 'apply-refused', exit: 6 } },
      ]);
      expect(await lab.nft('peer', 'list ruleset')).toBe('');
      expect(records(lab)).toEqual([]);
    });

    test('a signal in the middle: undone, and the process ends as the signal says', async () => {
      const lab = await busyLab();
      const fault: Fault = (session) => ({
        async load(text) {
          await session.load(text);
          if (text.startsWith('#')) process.emit('SIGTERM', 'SIGTERM');
          await new Promise((done) => setTimeout(done, 20));
        },
      });
      const { failure, targets } = await freeze([lab.box], await request(), await machineWith(lab, fault));
      expect(failure).toMatchObject({ code: 'interrupted', exit: 143 });
      expect(targets).toMatchObject([{ state: 'absent' }]);
      expect(await lab.nft('box', 'list tables')).toBe('table inet theirs\n');
      expect(records(lab)).toEqual([]);
    });

    test('the disk is full: nothing is touched', async () => {
      const lab = await busyLab();
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4k,nr_inodes=16,mode=700', 'none', lab.stateDir]);
      try {
        writeFileSync(join(lab.stateDir, 'ballast'), Buffer.alloc(4096));
        let loads = 0;
        const counting: Fault = (session) => ({
          async load(text) {
            loads += 1;
            await session.load(text);
          },
        });
        const { failure } = await freeze([lab.box], await request(), await machineWith(lab, counting));
        expect(failure).toMatchObject({ code: 'state-directory', exit: 1 });
        expect(failure?.message).toMatch(/ENOSPC|no space/i);
        expect(loads).toBe(0);
        expect(records(lab)).toEqual(['ballast']);
      } finally {
        execFileSync('umount', [lab.stateDir]);
      }
    });

    test("TCP's timers are put back, but for those of an earlier freeze that stands again", async () => {
      const lab = await makeLab();
      const settings = () => lab.run('box', 'sh', '-c', 'cd /proc/sys/net/ipv4 && cat tcp_retries2 tcp_orphan_retries');
      const { box } = await connection(lab, { port: 7400, set: { TCP_USER_TIMEOUT: 2000 } });
      const fault = await machineWith(lab, afterLoading(lab, 'insert rule inet netfreeze output accept'));
      expect((await freeze([lab.box], await request(null, true), fault)).failure).toMatchObject({
        code: 'not-verified',
      });
      expect(await settings()).toBe('15\n0\n');
      expect(await box.get('TCP_USER_TIMEOUT')).toBe(2000);
      expect(records(lab)).toEqual([]);

      await lab.freeze('--hold-timers');
      // Changed by somebody: the next freeze raises it as well, and its roll-back puts that back.
      await lab.run('box', 'sh', '-c', 'echo 7 >/proc/sys/net/ipv4/tcp_orphan_retries');
      expect((await freeze([lab.box], await request('60s', true), fault)).failure).toMatchObject({
        code: 'not-verified',
      });
      expectExit(await lab.netfreeze('verify', lab.box), 0);
      expect(await settings()).toBe('255\n7\n');
      expect(await box.get('TCP_USER_TIMEOUT')).toBe(0x7fffffff);
      await lab.thaw();
      expect(await settings()).toBe('15\n7\n');
      expect(await box.get('TCP_USER_TIMEOUT')).toBe(2000);
    });

    test('the record is lost: off and verify work from the kernel, and say so', async () => {
      const lab = await busyLab();
      await lab.freeze();
      for (const file of records(lab)) rmSync(join(lab.stateDir, file));
      const verified = await lab.netfreeze('verify', lab.box);
      expect(verified).toMatchObject({ exit: 0 });
      expect(verified.stderr).toMatch(/no record/);
      const { failure, targets } = await thaw(
        [lab.box],
        { discard: false, disarm: false, kick: { sockets: true, peers: false } },
        { stateDirectory: lab.stateDir, engine: realEngine, replays: false },
      );
      expect(failure).toBeNull();
      expect(targets).toMatchObject([
        { state: 'thawed', changed: true, notes: ['there was no record of this freeze'] },
      ]);
      expect(await lab.nft('box', 'list tables')).toBe('table inet theirs\n');
    });
  },
  nftEngines,
);
