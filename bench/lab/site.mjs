// Where a freeze is tried: a pair of namespaces, programs at both ends that talk, one that watches.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { address, makePair } from './pair.mjs';
import { start } from './programs.mjs';

/**
 * Makes a site; its programs talk to each other when this returns.
 * @param options.prefix see makePair
 * @param options.folder where netfreeze's state is kept, and what else a way keeps of a site, in the site's own `folder`
 * @param options.connections how many of each kind (traffic/kinds.py) there are over each family
 * @param options.sysctls see makePair
 * @param options.onlyConnections leaves out datagrams and echo requests
 */
export async function makeSite({ prefix, folder, connections, sysctls, onlyConnections = false }) {
  const pair = await makePair(prefix, sysctls);
  const programs = [];
  const site = {
    pair,
    folder: join(folder, pair.name.box),
    stateDirectory: join(folder, 'state'),
    /** Starts one more of the programs in traffic/, which ends with the site. */
    async open(place, name, settings) {
      const program = await start(pair.file[place], name, settings);
      programs.push(program);
      return program;
    },
    async remove() {
      for (const program of programs) await program.end();
      await pair.remove();
    },
  };
  const { open } = site;
  try {
    for (const made of [site.folder, site.stateDirectory]) mkdirSync(made, { recursive: true, mode: 0o700 });
    site.watch = await open('peer', 'watch', { wire: [pair.file.peer, pair.device], rules: pair.file.box });
    site.peer = await open('peer', 'talker', ends('peer', 'box', { connections, onlyConnections }));
    site.box = await open('box', 'talker', ends('box', 'peer', { connections, onlyConnections }));
    await both(site, { do: 'begin' });
  } catch (error) {
    await site.remove();
    throw error;
  }
  return site;
}

/** Asks both ends the same. @returns their answers */
export async function both({ box, peer }, command) {
  const [ofBox, ofPeer] = await Promise.all([box.ask(command), peer.ask(command)]);
  return { box: ofBox, peer: ofPeer };
}

const ends = (role, opposite, { connections, onlyConnections }) => ({
  role,
  own: address[role],
  other: address[opposite],
  onlyConnections,
  connections: { 'stream-out': 0, 'stream-in': 0, 'trickle-out': 0, 'trickle-in': 0, reset: 0, ...connections },
});
