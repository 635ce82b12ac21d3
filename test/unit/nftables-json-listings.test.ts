import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildCommands, type Command, parseDocument, stringifyDocument } from '../../src/nftables/json';

const fixtures = join(__dirname, 'fixtures', 'nftables-json');
const listings = readdirSync(fixtures).filter((file) => file.endsWith('.json'));
const recorded = listings.filter((file) => !file.startsWith('hand-written-'));

describe('listings of nft', () => {
  it('are many, and each was recorded from a ruleset', () => {
    const rulesets = readdirSync(fixtures).filter((file) => file.endsWith('.nft'));
    expect(recorded.map((file) => file.replace('.json', '.nft'))).toEqual(rulesets);
    expect(recorded.length).toBeGreaterThanOrEqual(25);
  });

  it.each(listings)('pass through unchanged, to the letter: %s', (file) => {
    const text = readFileSync(join(fixtures, file), 'utf8');
    const document = parseDocument(text);
    expect(`${stringifyDocument(document)}\n`).toBe(text);
  });

  // The standard parser rounds what is beyond 2^53: here it is only asked about the rest.
  it.each(listings.filter((file) => !/^(big-counters|payload-raw)/.test(file)))(
    'are read as the standard parser reads them: %s',
    (file) => {
      const text = readFileSync(join(fixtures, file), 'utf8');
      expect(parseDocument(text)).toEqual(JSON.parse(text));
    },
  );

  it.each(recorded)('can be given back as commands, no member in it is unknown here: %s', (file) => {
    const { nftables } = parseDocument(readFileSync(join(fixtures, file), 'utf8'));
    for (const object of nftables) {
      if ('metainfo' in object) continue;
      const build = () => buildCommands([{ add: object } as Command]);
      const message = REFUSED.get(file)?.find(({ where }) => JSON.stringify(object, bigints).includes(where))?.message;
      if (message === undefined) expect(parseDocument(build())).toEqual({ nftables: [{ add: object }] });
      else expect(build).toThrow(message);
    }
  });
});

const bigints = (_key: string, value: unknown) => (typeof value === 'bigint' ? `${value}` : value);

/** What nft 1.0.6 prints and would not load as it was: a device that it left out, an unsigned value with a sign. */
const REFUSED = new Map([
  ['netdev.json', [{ where: '"hook":', message: 'expected a device for this hook, got nothing' }]],
  ['inet-ingress.json', [{ where: '"hook":', message: 'expected a device for this hook, got nothing' }]],
  ['payload-raw.json', [{ where: '"right":-1', message: 'expected an integer from 0' }]],
]);
