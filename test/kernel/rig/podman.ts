/**
 * A podman of a test's own: its storage, its state and its control groups are in places that go with it, and its
 * containers have networks that need no bridge, no iptables and no plugin. Their root holds busybox and nothing else.
 */
import { copyFileSync, existsSync, mkdirSync, readdirSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Engine } from './describe';
import { describeOneEngine, isThere } from './describe';
import { scratchDirectory } from './leftovers';
import { run } from './program';
import { until } from './wait';

const missing = ['podman', 'runc', 'busybox'].filter((tool) => !isThere(tool));

/** Tests on real containers: skipped where podman is not installed, a failure where CI is true. */
export function describePodman(name: string, body: (engine: Engine) => void): void {
  if (missing.length === 0) describeOneEngine(name, body);
  else if (process.env.CI === 'true') {
    test(`${name}: ${missing.join(', ')} missing`, () => {
      throw new Error(`install ${missing.join(', ')} (see test/kernel/rig/packages-engines.txt)`);
    });
  } else describe.skip(`${name} (skipped: ${missing.join(', ')} not installed)`, () => body('replay'));
}

export interface Podman {
  /** What netfreeze's podman needs to know to be this one. */
  env: NodeJS.ProcessEnv;
  podman(...args: string[]): Promise<string>;
  /** Starts a container that runs a command of busybox. */
  start(name: string, options: string[], ...command: string[]): Promise<void>;
  /** Makes a pod whose infra container is busybox too. */
  startPod(name: string, options: string[]): Promise<void>;
  /** @returns the first process of a container */
  pid(name: string): Promise<number>;
  remove(): Promise<void>;
}

/**
 * Makes a podman that is removed, with all of its containers, at the end of what is described. To be called before
 * useLabs(), which removes the folder that all of it is in.
 */
export function usePodman(): () => Podman {
  let own: Podman | undefined;
  beforeAll(async () => {
    own = await makePodman();
  });
  afterAll(async () => own?.remove());
  return () => own as Podman;
}

async function makePodman(): Promise<Podman> {
  const folder = scratchDirectory('podman');
  const root = join(folder, 'root');
  mkdirSync(join(root, 'bin'), { recursive: true });
  copyFileSync((await run('sh', ['-c', 'command -v busybox'])).trim(), join(root, 'bin/busybox'));
  writeFileSync(
    join(folder, 'storage.conf'),
    `[storage]\ndriver = "vfs"\ngraphroot = "${folder}/storage"\nrunroot = "${folder}/run"\n`,
  );
  writeFileSync(
    join(folder, 'containers.conf'),
    `[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
default_sysctls = []
[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
runtime = "runc"
static_dir = "${folder}/libpod"
tmp_dir = "${folder}/tmp"
volume_path = "${folder}/volumes"
[network]
network_config_dir = "${folder}/networks"
`,
  );
  const env = {
    CONTAINERS_CONF: join(folder, 'containers.conf'),
    CONTAINERS_STORAGE_CONF: join(folder, 'storage.conf'),
  };
  const podman = (...args: string[]) =>
    run('env', [...Object.entries(env).map(([key, to]) => `${key}=${to}`), 'podman', ...args]);
  const group = `/nfz-${process.pid}`;
  return {
    env,
    podman,
    async start(name, options, ...command) {
      const inGroup = options.includes('--pod') ? [] : ['--cgroup-parent', group];
      const always = ['--detach', '--name', name, ...inGroup, ...options, '--rootfs', root];
      await podman('run', ...always, '/bin/busybox', ...command);
    },
    async startPod(name, options) {
      await run('tar', ['-C', root, '-cf', join(folder, 'root.tar'), '.']);
      await podman('import', join(folder, 'root.tar'), 'localhost/nfz-busybox');
      const infra = ['--infra-image', 'localhost/nfz-busybox', '--infra-command', '/bin/busybox sleep 600'];
      await podman(
        'pod',
        'create',
        '--name',
        name,
        '--infra-name',
        `${name}-infra`,
        ...infra,
        '--cgroup-parent',
        group,
        ...options,
      );
    },
    pid: async (name) => Number(await podman('container', 'inspect', '--format', '{{.State.Pid}}', name)),
    async remove() {
      await podman('pod', 'rm', '--all', '--force', '--time', '0').catch(() => {});
      // A container whose network another one is in goes after that one, at the second try.
      const removeAll = () => podman('rm', '--all', '--force', '--time', '0');
      await removeAll().catch(removeAll);
      // What watches a container ends a moment after it.
      await until('the control groups can be removed', 10_000, async () => removeGroups(group));
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** What podman makes for its containers it removes, but not the group that they are in. @returns whether it is gone */
function removeGroups(group: string): boolean {
  const roots = ['/sys/fs/cgroup', ...readdirSync('/sys/fs/cgroup').map((name) => `/sys/fs/cgroup/${name}`)];
  return roots.map((root) => removeGroup(`${root}${group}`)).every((isGone) => isGone);
}

function removeGroup(folder: string): boolean {
  if (!existsSync(folder)) return true;
  try {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      if (entry.isDirectory()) removeGroup(join(folder, entry.name));
    }
    rmdirSync(folder);
    return true;
  } catch {
    return false;
  }
}
