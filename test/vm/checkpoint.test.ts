/**
 * A checkpoint under a freeze, with a real CRIU: a server is dumped, killed and restored, and its client, outside, notices
 * nothing but a pause. The tests of a mode share one server, which lives through all of them, and one pair of captures.
 */
import { spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readlinkSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describeEngines } from '../kernel/rig/describe';
import { keepersOf } from '../kernel/rig/keeper';
import { type Lab, useLabs } from '../kernel/rig/lab';
import { expectExit, netfreezeProgram, only } from '../kernel/rig/netfreeze';
import { run } from '../kernel/rig/program';
import { stateIn } from '../kernel/rig/state';
import { expectEveryByte, expectGoesOn } from '../kernel/rig/streams';
import { patience, until } from '../kernel/rig/wait';
import { type Criu, type CriuOutcome, type Dumped, dump, dumpUnder, expectDone, restore, startServer } from './dumped';

const hookProgram = resolve(netfreezeProgram, '../netfreeze-criu-hook');

/** Debian 12's CRIU, 3.17, always locks; Debian 13's, 4.1, can be told not to. See image/build.sh. */
const ways = [
  { mode: 'drop', program: 'criu', lock: 'nftables' },
  { mode: 'steal', program: 'criu-new', lock: 'skip' },
] as const;

describeEngines('a checkpoint', (engine) => {
  const makeLab = useLabs(engine);

  describe.each(ways)('in mode $mode ($program, lock: $lock)', ({ mode, program, lock }) => {
    const makeShared = useLabs(engine, 'end');
    let lab: Lab;
    let server: Dumped;
    beforeAll(async () => {
      lab = await makeShared();
      server = await startServer(lab);
      await expectGoesOn(server, 10_000);
    }, 60_000 * patience);
    afterAll(() => server?.kill());

    let dumps = 0;
    /** CRIU with a folder of its own for the images, and with the action script. */
    function criuWith(hook: { mode?: string; leaseMs?: number }, ...options: string[]): Criu {
      dumps += 1;
      const images = join(lab.stateDir, `images-${dumps}`);
      mkdirSync(images);
      const env = {
        NETFREEZE_ENGINE: engine,
        NETFREEZE_STATE_DIR: join(lab.stateDir, 'state'),
        NETFREEZE_HOOK_OPTIONS: `--mode ${hook.mode ?? mode} --limit 60s --lease ${(hook.leaseMs ?? 30_000) * patience}ms`,
      };
      return { program, images, env, options: ['--network-lock', lock, ...options] };
    }

    /** Netfreeze with the state that the action script has. */
    const netfreeze = (...args: string[]) =>
      lab.netfreezeIn({ env: { NETFREEZE_STATE_DIR: join(lab.stateDir, 'state') } }, ...args);

    /** The server lives and the connection goes on, and nothing of ours is there: no table, no keeper, no record, no note. */
    async function expectAsBefore(): Promise<void> {
      expect(server.isAlive()).toBe(true);
      const { received } = await server.client.progress();
      await expectGoesOn(server, 10_000, { client: received, server: (await server.server.progress()).received });
      expect(await server.resets()).toEqual([]);
      expect(await lab.nft('box', 'list ruleset')).not.toContain('netfreeze');
      expect(await keepersOf(lab)).toEqual([]);
      expect(stateIn({ stateDir: join(lab.stateDir, 'state') })).toEqual([]);
    }

    /** A second action script, which CRIU runs after ours, since it runs the last one first. */
    function meddling(atAction: string, does: string): string[] {
      const script = join(lab.stateDir, `${atAction}.sh`);
      writeFileSync(script, `#!/bin/sh\n[ "$CRTOOLS_SCRIPT_ACTION" = ${atAction} ] || exit 0\n${does}\n`);
      chmodSync(script, 0o755);
      return ['--action-script', script];
    }

    const failed = (outcome: CriuOutcome) => {
      expect(outcome.exit).not.toBe(0);
      return outcome.log;
    };

    if (lock === 'skip') {
      test('that fails for images that it cannot write: as if nothing had been', async () => {
        const criu = criuWith({}, '--action-script', hookProgram);
        const elsewhere = [...(criu.options ?? []), '--work-dir', criu.images];
        failed(await dump(lab, server.pid, { ...criu, options: elsewhere, images: '/sys/kernel' }));
        await expectAsBefore();
      });

      test('under a freeze that was not left alone fails, though all was put back', async () => {
        const undone = 'nsenter --net=/proc/$CRTOOLS_INIT_PID/ns/net nft "add table inet x; delete table inet x"';
        const criu = criuWith({}, ...meddling('network-lock', undone), '--action-script', hookProgram);
        expect(failed(await dump(lab, server.pid, criu))).toMatch(/has not held: nftables has been changed meanwhile/);
        await expectAsBefore();
      });

      test('whose CRIU is killed leaves a freeze that ends by itself; thawed, the connection goes on', async () => {
        const criu = criuWith({}, ...meddling('network-lock', 'kill -9 $PPID'), '--action-script', hookProgram);
        failed(await dump(lab, server.pid, criu));
        const left = only(expectExit(await netfreeze('status', lab.box, '--json'), 0));
        expect(left).toMatchObject({ state: 'frozen', lease: { expiresInMs: expect.any(Number) } });
        expectExit(await netfreeze('off', lab.box), 0);
        await expectAsBefore();
      });
    } else {
      test('that fails for a connection that it may not dump: as if nothing had been', async () => {
        const criu = criuWith({}, '--action-script', hookProgram);
        const log = failed(await dump(lab, server.pid, { ...criu, tcp: false }));
        expect(log).toMatch(/is frozen \(/);
        expect(log).toMatch(/is thawed \(/);
        await expectAsBefore();
      });

      test("in mode steal is refused beside CRIU's own lock, before anything is touched", async () => {
        const criu = criuWith({ mode: 'steal' }, '--action-script', hookProgram);
        expect(failed(await dump(lab, server.pid, criu))).toMatch(/would throw away what mode steal holds/);
        await expectAsBefore();
      });
    }

    test('through the action script: dumped, killed, restored, and no byte lost', async () => {
      const criu = criuWith({}, '--action-script', hookProgram);
      expectDone(await dump(lab, server.pid, criu));
      expect(server.isAlive()).toBe(false);
      // Without sockets and without a freeze the box would answer with RST.
      const kept = only(expectExit(await netfreeze('status', lab.box, '--json'), 0));
      expect(kept).toMatchObject({ state: 'frozen', verified: true, mode, lease: null });
      const { log } = expectDone(await restore(lab, server.pid, criu));
      expect(log).toMatch(/is thawed \(/);
      await expectAsBefore();
    });

    test('through `netfreeze run`, whose CRIU is killed: as if nothing had been', async () => {
      const criu = criuWith({}, ...meddling('network-lock', 'kill -9 $PPID'));
      const outcome = await dumpUnder([netfreezeProgram, 'run', lab.box, '--mode', mode, '--'], lab, server.pid, criu);
      expect(outcome).toMatchObject({ exit: 137, stderr: expect.stringMatching(/was ended by SIGKILL/) });
      await expectAsBefore();
    });

    test('through `netfreeze run`: dumped, killed, restored, and no byte lost', async () => {
      const criu = criuWith({});
      const on = [lab.box, '--mode', mode, '--lease', `${30 * patience}s`];
      const under = [netfreezeProgram, 'run', ...on, '--stay-frozen', '--'];
      expectDone(await dumpUnder(under, lab, server.pid, criu));
      expect(server.isAlive()).toBe(false);
      expectDone(await restore(lab, server.pid, criu));
      expect(await server.client.progress()).toMatchObject({ wrong: null, ended: null });
      expectExit(await netfreeze('off', lab.box), 0);
      await expectAsBefore();
    });

    test('has lost no byte, when all is said, and nobody has seen a RST', async () => {
      await expectEveryByte(server, 10_000);
      expect(await server.resets()).toEqual([]);
      expect(await server.captured()).toBeGreaterThan(100);
    });
  });

  test('of a namespace with its tasks takes the freeze along: as a freeze without a record or a keeper', async () => {
    const lab = await makeLab();
    const child = spawn('unshare', ['--net', 'sleep', '1000'], { detached: true, stdio: 'ignore' });
    const pid = child.pid as number;
    const target = `pid:${pid}`;
    const namespace = () => readlinkSync(`/proc/${pid}/ns/net`);
    await until('it has a namespace of its own', 5000, async () => namespace() !== readlinkSync('/proc/self/ns/net'));
    try {
      expectExit(await lab.netfreeze('on', target, '--mode', 'steal', '--lease', '10m'), 0);
      const images = join(lab.stateDir, 'images');
      mkdirSync(images);
      const log = ['--log-file', 'log', '-v4', '--images-dir', images];
      await run('criu', ['dump', '--tree', `${pid}`, '--network-lock', 'nftables', ...log]);
      await until('the process id is free', 5000, async () => !existsSync(`/proc/${pid}`));
      // As on another machine.
      const elsewhere = { stateDir: join(lab.stateDir, 'elsewhere') };
      await run('criu', ['restore', '--restore-detached', ...log]);
      const found = only(expectExit(await lab.netfreezeIn(elsewhere, 'status', target, '--json'), 0));
      expect(found).toMatchObject({ mode: 'steal', lease: { expiresInMs: expect.any(Number) } });
      expect(found.lease?.expiresInMs).toBeLessThan(600_000);
      expect(found.notes.join()).toMatch(/keeper/);
      expectExit(await lab.netfreezeIn(elsewhere, 'verify', target), 10);
      expectExit(await lab.netfreezeIn(elsewhere, 'off', target), 0);
      expect(await run('nsenter', [`--net=/proc/${pid}/ns/net`, 'nft', 'list', 'ruleset'])).toBe('');
    } finally {
      process.kill(pid, 'SIGKILL');
    }
  });
});
