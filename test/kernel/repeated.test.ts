/** Every operation can be repeated: the second time is no error and changes nothing in the kernel. */
import { describeEngines } from './rig/describe';
import { address, families, type Lab, useLabs } from './rig/lab';
import { expectExit, only } from './rig/netfreeze';
import { send } from './rig/packets';

describeEngines('said twice', (engine) => {
  const makeLab = useLabs(engine);

  test('on, then on: the ruleset is the same to the letter and the kernel has seen no change', async () => {
    const lab = await makeLab();
    await lab.freeze('--allow', '10.91.1.2:443/tcp');
    const [listing, id] = [await lab.nft('box', '-s', '-a', 'list ruleset'), await generation(lab)];
    await lab.freeze('--allow', '10.91.1.2:443/tcp');
    expect(await lab.nft('box', '-s', '-a', 'list ruleset')).toBe(listing);
    expect(await generation(lab)).toBe(id);
    expectExit(await lab.netfreeze('verify', lab.box), 0);
  });

  test('off, then off, and off without on: exit 0 and nothing happens', async () => {
    const lab = await makeLab();
    const untouched = await generation(lab);
    await lab.thaw();
    expect(await generation(lab)).toBe(untouched);
    await lab.freeze();
    await lab.thaw();
    const thawed = await generation(lab);
    await lab.thaw();
    expect(await generation(lab)).toBe(thawed);
    expect(await lab.nft('box', 'list ruleset')).toBe('');
  });

  test('status, verify and renew of what was never frozen', async () => {
    const lab = await makeLab();
    expect(only(expectExit(await lab.netfreeze('status', lab.box, '--json'), 0)).state).toBe('absent');
    expect(await lab.netfreeze('verify', lab.box)).toMatchObject({ exit: 11 });
    expect(await lab.netfreeze('renew', lab.box, '--lease', '5s')).toMatchObject({ exit: 11 });
  });

  test('on --dry-run, preview, status and verify change nothing', async () => {
    const lab = await makeLab();
    for (const frozen of [false, true]) {
      if (frozen) await lab.freeze();
      const id = await generation(lab);
      expectExit(await lab.netfreeze('on', lab.box, '--dry-run', '--lease', '5s'), 0);
      expectExit(await lab.netfreeze('preview', lab.box), 0);
      expectExit(await lab.netfreeze('status', lab.box), 0);
      expectExit(await lab.netfreeze('verify', lab.box), frozen ? 0 : 11);
      expect(await generation(lab)).toBe(id);
    }
  });

  test('the counters say what was stopped, per direction', async () => {
    const lab = await makeLab();
    await lab.freeze();
    const job = (from: 'box' | 'peer', to: 'box' | 'peer', count: number) =>
      families.map(
        (family) => ({ kind: 'icmp', family, from: address[family][from], to: address[family][to], count }) as const,
      );
    await send(lab, 'box', job('box', 'peer', 30));
    await send(lab, 'peer', job('peer', 'box', 50));
    const { counters } = only(await lab.netfreeze('status', lab.box, '--json'));
    expect(counters.out.packets).toBeGreaterThanOrEqual(60);
    expect(counters.in.packets).toBeGreaterThanOrEqual(100);
    expect(counters.in.bytes).toBeGreaterThanOrEqual(100 * 92);
  });
});

/** nf_tables' generation: one more for each transaction that changed something in the namespace. */
async function generation(lab: Lab): Promise<string> {
  return (await lab.traffic<{ generation: number }>('box', 'generation', {})).generation.toString();
}
