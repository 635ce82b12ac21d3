/** A box that counts the UDP packets that reach it, and answers nothing. */
import type { Lab, LabMaker } from './lab';

export async function countingLab(makeLab: LabMaker): Promise<Lab> {
  const lab = await makeLab();
  await lab.nft(
    'box',
    `add table inet count; add counter inet count seen; add chain inet count in { type filter hook input priority 100; };
     add rule inet count in meta l4proto udp counter name seen drop`,
  );
  return lab;
}

/** @returns how many have reached the box of such a lab */
export const counted = async (lab: Lab): Promise<number> =>
  Number(/packets (\d+)/.exec(await lab.nft('box', 'list counter inet count seen'))?.[1]);
