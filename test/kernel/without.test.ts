/** Without root, without nft, without libnftables: what is refused says what to do, what needs nothing works. */
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describeEngines, describeOneEngine } from './rig/describe';
import { type Lab, useLabs } from './rig/lab';
import { expectExit } from './rig/netfreeze';

const nobody = [
  'setpriv',
  '--reuid=65534',
  '--regid=65534',
  '--clear-groups',
  '--bounding-set=-all',
  '--inh-caps=-all',
];

describeEngines('without root', (engine) => {
  const makeLab = useLabs(engine);

  test.each([['on'], ['off'], ['renew', '--lease', '5s'], ['verify']])(
    '%s exits 4 and says what to do',
    async (word, ...options) => {
      const lab = await makeLab();
      const outcome = expectExit(await lab.netfreezeIn({ through: nobody }, word, lab.box, ...options), 4);
      expect(outcome.stderr).toMatch(/root|sudo|CAP_/);
      expect(await lab.nft('box', 'list ruleset')).toBe('');
    },
  );

  test('root without capabilities is told the same', async () => {
    const lab = await makeLab();
    const powerless = ['setpriv', '--bounding-set=-all', '--inh-caps=-all', '--securebits=+noroot'];
    const outcome = expectExit(await lab.netfreezeIn({ through: powerless }, 'on', lab.box), 4);
    expect(outcome.stderr).toMatch(/CAP_/);
  });

  test.each([
    ['a target', (lab: Lab) => lab.box],
    ['a target that does not exist', () => 'nfz-nobody'],
  ])('preview works for %s, and prints what nft accepts and on would load', async (_name, target) => {
    const lab = await makeLab();
    const options = [
      '--lease',
      '30s',
      '--allow',
      '10.91.1.2:443/tcp',
      '--allow',
      '[fd91:1::2]:53',
      '--allow-mark',
      '0xC114',
    ];
    const preview = expectExit(await lab.netfreezeIn({ through: nobody }, 'preview', target(lab), ...options), 0);
    const file = join(lab.stateDir, 'preview.nft');
    writeFileSync(file, preview.stdout);
    await lab.run('box', 'nft', '-c', '-f', file);
    expect(await lab.nft('box', 'list ruleset')).toBe('');
    // What is printed and what is loaded are the same text: loaded by hand it is a freeze that on need not change.
    await lab.run('box', 'nft', '-f', file);
    const byHand = await lab.nft('box', '-s', 'list ruleset');
    await lab.run('box', 'nft', 'delete table inet netfreeze');
    await lab.freeze(...options);
    expect(withoutTimeLeft(await lab.nft('box', '-s', 'list ruleset'))).toBe(withoutTimeLeft(byHand));
  });

  test('doctor says what is missing, and exits 0 or 4', async () => {
    const lab = await makeLab();
    const outcome = expectExit(await lab.netfreezeIn({ through: nobody }, 'doctor'), 0, 4);
    expect(outcome.stdout + outcome.stderr).toMatch(/root|CAP_/);
  });
});

describeOneEngine('without programs and libraries', (engine) => {
  const makeLab = useLabs(engine);

  /** No engine is forced: which one is there is the question. */
  const free = { NETFREEZE_ENGINE: undefined };

  test('without nft and libnftables: exit 5 and what to install', async () => {
    const lab = await makeLab();
    const outcome = expectExit(
      await lab.netfreezeIn({ through: hiding(lab, 'libnftables', 'nft'), env: free }, 'on', lab.box),
      5,
    );
    expect(outcome.stderr).toMatch(/install/);
    expect(outcome.stderr).toMatch(/nftables/);
    expect(await lab.nft('box', 'list ruleset')).toBe('');
    expectExit(await lab.netfreezeIn({ through: hiding(lab, 'libnftables', 'nft'), env: free }, 'doctor'), 0, 5);
  });

  test.each(['nft', 'libnftables'] as const)('without %s the other engine does it', async (missing) => {
    const lab = await makeLab();
    const through = hiding(lab, missing);
    expectExit(await lab.netfreezeIn({ through, env: free }, 'on', lab.box), 0);
    expectExit(await lab.netfreezeIn({ through, env: free }, 'verify', lab.box), 0);
    // The engines agree about one freeze.
    expectExit(await lab.netfreeze('verify', lab.box), 0);
    expectExit(await lab.netfreezeIn({ through, env: free }, 'off', lab.box), 0);
    expect(await lab.nft('box', 'list ruleset')).toBe('');
  });

  test('an engine that is forced and not there: exit 5', async () => {
    const lab = await makeLab();
    for (const [missing, forced] of [
      ['nft', 'nft'],
      ['libnftables', 'libnftables'],
    ] as const) {
      const outcome = await lab.netfreezeIn(
        { through: hiding(lab, missing), env: { NETFREEZE_ENGINE: forced } },
        'on',
        lab.box,
      );
      expectExit(outcome, 5);
    }
  });

  test('a state directory that cannot be written: nothing is frozen, and the message names it', async () => {
    const lab = await makeLab();
    const stateDir = join(lab.stateDir, 'file');
    writeFileSync(stateDir, '');
    const outcome = await lab.netfreezeIn({ stateDir }, 'on', lab.box);
    expect(outcome.exit).not.toBe(0);
    expect(outcome.stderr).toContain(stateDir);
    expect(await lab.nft('box', 'list ruleset')).toBe('');
  });
});

/**
 * Runs what follows in a mount namespace of its own, in which the program is no program, or the library no library; the
 * machine's other processes keep theirs. The nft program needs the library as well: without the library it is given
 * one of its own, where nobody else looks for it.
 */
function hiding(lab: Lab, ...missing: ('nft' | 'libnftables')[]): string[] {
  const script = join(lab.stateDir, 'hide.sh');
  writeFileSync(
    script,
    `#!/bin/sh -e
aside=$(dirname "$0")
nft=$(readlink -f "$(command -v nft)")
libraries=$(ldconfig -p | sed -n 's/.*libnftables.* => //p')
: >"$aside/nothing"
while [ "$1" != -- ]; do
  case $1 in
  nft)
    mount --bind "$aside/nothing" "$nft"
    ;;
  libnftables)
    cp $libraries "$nft" "$aside"
    printf '#!/bin/sh\nLD_LIBRARY_PATH=%s exec %s/nft "$@"\n' "$aside" "$aside" >"$aside/nft.sh"
    chmod +x "$aside/nft.sh"
    mount --bind "$aside/nft.sh" "$nft"
    for library in $libraries; do mount --bind "$aside/nothing" "$library"; done
    ;;
  esac
  shift
done
shift
exec "$@"
`,
  );
  chmodSync(script, 0o755);
  return ['unshare', '--mount', '--propagation', 'private', script, ...missing, '--'];
}

/** A listing shows how long a lease still lasts. */
const withoutTimeLeft = (listing: string) => listing.replaceAll(/ expires [0-9a-z]+/g, '');
