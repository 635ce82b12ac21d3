/**
 * A checkpoint under a freeze, with a real CRIU: a server is dumped, killed and restored, and its client, outside, notices
 * nothing but a pause.
 */
import { mkdirSync, readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describeEngines } from '../kernel/rig/describe';
import { keepersOf } from '../kernel/rig/keeper';
import { type Lab, useLabs } from '../kernel/rig/lab';
import { expectExit, netfreezeProgram, only } from '../kernel/rig/netfreeze';
import { expectEveryByte, expectGoesOn } from '../kernel/rig/streams';
import { sleep } from '../kernel/rig/wait';
import { type Criu, type Dumped, dump, expectDone, restore, startServer } from './dumped';

/** Debian 12's, 3.17, always locks; Debian 13's, 4.1, can be told not to. See image/build.sh. */
const old = 'criu';
const newer = 'criu-new';
const hookProgram = resolve(netfreezeProgram, '../netfreeze-criu-hook');

describeEngines('a checkpoint', (engine) => {
  const makeLab = useLabs(engine);
  const servers: Dumped[] = [];
  afterEach(() => {
    for (const server of servers.splice(0)) server.kill();
  });

  async function start(lab: Lab): Promise<Dumped> {
    const server = await startServer(lab);
    servers.push(server);
    await expectGoesOn(server, 10_000);
    return server;
  }

  function criuFor(lab: Lab, program: string, hookOptions: string, ...options: string[]): Criu {
    const images = join(lab.stateDir, 'images');
    mkdirSync(images, { recursive: true });
    const env = {
      NETFREEZE_ENGINE: engine,
      NETFREEZE_STATE_DIR: join(lab.stateDir, 'state'),
      NETFREEZE_HOOK_OPTIONS: `--limit 120s --lease 300s ${hookOptions}`,
    };
    return { program, images, env, options };
  }

  /** Netfreeze beside the hook, with the hook's own state. */
  const netfreezeBeside = (lab: Lab, criu: Criu, ...args: string[]) =>
    lab.netfreezeIn({ env: criu.env as NodeJS.ProcessEnv }, ...args);

  /** Nothing of ours is left, in the kernel or elsewhere. */
  async function expectNothingLeft(lab: Lab, criu: Criu): Promise<void> {
    expect(await lab.nft('box', 'list tables')).not.toContain('netfreeze');
    expect(await keepersOf(lab)).toEqual([]);
    const state = criu.env?.NETFREEZE_STATE_DIR as string;
    expect(readdirSync(state)).toEqual([]);
  }

  test.each([
    ['drop', 'beside its own lock', old, ['--network-lock', 'nftables']],
    ['drop', 'beside its iptables lock', newer, []],
    ['steal', 'without a lock of its own', newer, ['--network-lock', 'skip']],
  ])('(%s, %s) through the action script: no byte is lost, no RST is seen', async (mode, _, program, lock) => {
    const lab = await makeLab();
    const server = await start(lab);
    const criu = criuFor(lab, program, `--mode ${mode}`, '--action-script', hookProgram);
    expectDone(await dump(lab, server.pid, { ...criu, options: [...(criu.options ?? []), ...lock] }));
    expect(server.isAlive()).toBe(false);
    // The dump has ended the server; its freeze stays, without end, and the client goes on asking.
    const kept = only(expectExit(await netfreezeBeside(lab, criu, 'status', lab.box, '--json'), 0));
    expect(kept).toMatchObject({ state: 'frozen', verified: true, mode, lease: null });
    await sleep(300);
    const before = await server.client.progress();
    expect(before).toMatchObject({ wrong: null, ended: null });

    expectDone(await restore(lab, criu));
    expect(server.isAlive()).toBe(true);
    await expectGoesOn(server, 10_000, { client: before.received, server: 0 });
    await expectEveryByte(server, 10_000);
    expect(await server.resets()).toEqual([]);
    await expectNothingLeft(lab, criu);
  });
});
