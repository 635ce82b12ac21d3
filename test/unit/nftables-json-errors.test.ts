import { NftJsonError, parseDocument } from '../../src/nftables/json';

const table = '{"table": {"family": "inet", "name": "t"}}';
const chain = (members: string) => `{"chain": {"family": "inet", "table": "t", "name": "c", ${members}}}`;
const rule = (statement: string) =>
  `{"rule": {"family": "inet", "table": "t", "chain": "c", "expr": [{"drop": null}, ${statement}]}}`;
const set = (members: string) => `{"set": {"family": "inet", "table": "t", "name": "s", ${members}}}`;
const list = (...objects: string[]) => `{"nftables": [${objects.join(', ')}]}`;
const inMatch = 'nftables[0].rule.expr[1].match';
const match = (left: string) => list(rule(`{"match": {"op": "==", "left": ${left}, "right": 1}}`));

const fault = (text: string): { path: string; message: string } => {
  try {
    parseDocument(text);
  } catch (error) {
    expect(error).toBeInstanceOf(NftJsonError);
    const { path, message } = error as NftJsonError;
    return { path, message };
  }
  throw new Error(`was accepted: ${text}`);
};

describe('a document that is none of nft', () => {
  it.each<[path: string, message: string, text: string]>([
    ['', 'expected an object, got an array', '[]'],
    ['', 'expected an object, got null', 'null'],
    ['nftables', 'expected an array, got nothing', '{}'],
    ['nftables', 'expected an array, got an object', '{"nftables": {}}'],
    ['nftables[1]', 'expected an object, got a string ("x")', list(table, '"x"')],
    ['nftables[0]', 'expected an object with one member, got one with 0', list('{}')],
    ['nftables[0]', 'expected an object with one member, got one with 2', list('{"table": {}, "chain": {}}')],
    ['nftables[1].table', 'expected an object, got null', list(table, '{"table": null}')],
    ['nftables[0].table.name', 'expected a string, got nothing', list('{"table": {"family": "ip"}}')],
    ['nftables[0].table.name', 'expected a string, got an integer (5)', list('{"table": {"family": "ip", "name": 5}}')],
    [
      'nftables[0].table.family',
      'expected one of ip, ip6, inet, arp, bridge, netdev, got a string ("ipx")',
      list('{"table": {"family": "ipx", "name": "t"}}'),
    ],
    [
      'nftables[0].table.flags',
      'expected a string or an array, got a boolean (true)',
      list('{"table": {"family": "ip", "name": "t", "flags": true}}'),
    ],
    [
      'nftables[0].metainfo.json_schema_version',
      'expected an integer, got a string ("1")',
      list('{"metainfo": {"json_schema_version": "1"}}'),
    ],
    [
      'nftables[3].chain.prio',
      'expected an integer, got a string ("foo")',
      list(table, table, table, chain('"prio": "foo"')),
    ],
    ['nftables[0].chain.prio', 'expected an integer, got a number (1.5)', list(chain('"prio": 1.5'))],
    ['nftables[0].chain.hook', 'expected a string, got an array', list(chain('"hook": []'))],
    ['nftables[0].chain.handle', 'expected an integer, got null', list(chain('"handle": null'))],
    ['nftables[0].chain.dev[1]', 'expected a string, got an integer (1)', list(chain('"dev": ["a", 1]'))],
    ['nftables[0].rule.chain', 'expected a string, got nothing', list('{"rule": {"family": "ip", "table": "t"}}')],
    [
      'nftables[0].rule.expr',
      'expected an array, got an object',
      list('{"rule": {"family": "ip", "table": "t", "chain": "c", "expr": {}}}'),
    ],
    ['nftables[0].rule.expr[1]', 'expected a string or an object, got an integer (7)', list(rule('7'))],
    [
      'nftables[0].rule.expr[1]',
      'expected an object with one member, got one with 2',
      list(rule('{"accept": null, "drop": null}')),
    ],
    ['nftables[0].rule.expr[1].drop', 'expected null, got a boolean (true)', list(rule('{"drop": true}'))],
    ['nftables[0].rule.expr[1].jump.target', 'expected a string, got nothing', list(rule('{"jump": {}}'))],
    ['nftables[0].rule.expr[1].queue', 'expected null or an object, got an integer (0)', list(rule('{"queue": 0}'))],
    [
      'nftables[0].rule.expr[1].counter.packets',
      'expected an integer, got a boolean (false)',
      list(rule('{"counter": {"packets": false}}')),
    ],
    ['nftables[0].rule.expr[1]["ct count"].val', 'expected an integer, got nothing', list(rule('{"ct count": {}}'))],
    [
      'nftables[0].rule.expr[1].log.queue-threshold',
      'expected an integer, got a string ("x")',
      list(rule('{"log": {"queue-threshold": "x"}}')),
    ],
    [
      'nftables[0].rule.expr[1].set.stmt[0].limit.rate',
      'expected an integer, got nothing',
      list(rule('{"set": {"op": "add", "elem": 1, "set": "@s", "stmt": [{"limit": {"per": "second"}}]}}')),
    ],
    [`${inMatch}.left`, 'expected a string, an integer, a boolean, an array or an object, got null', match('null')],
    [`${inMatch}.left.payload.field`, 'expected a string, got nothing', match('{"payload": {"protocol": "tcp"}}')],
    [
      `${inMatch}.left.payload.len`,
      'expected an integer, got a string ("8")',
      match('{"payload": {"base": "th", "offset": 0, "len": "8"}}'),
    ],
    [
      `${inMatch}.left["tcp option"].name`,
      'expected a string, got an integer (2)',
      match('{"tcp option": {"name": 2}}'),
    ],
    [`${inMatch}.left["&"]`, 'expected an array of two or more, got one of 1', match('{"&": [1]}')],
    [
      `${inMatch}.left.concat[1].meta.key`,
      'expected a string, got null',
      match('{"concat": ["a", {"meta": {"key": null}}]}'),
    ],
    [
      `${inMatch}.right`,
      'expected a string, an integer, a boolean, an array or an object, got nothing',
      list(rule('{"match": {"op": "==", "left": 1}}')),
    ],
    [
      'nftables[0].set.elem[0].elem.val',
      'expected a string, an integer, a boolean, an array or an object, got nothing',
      list(set('"elem": [{"elem": {"timeout": 5}}]')),
    ],
    [
      'nftables[0].set.elem[1].elem.timeout',
      'expected an integer, got a string ("5s")',
      list(set('"elem": ["a", {"elem": {"val": 1, "timeout": "5s"}}]')),
    ],
    ['nftables[0].set.type', 'expected a string, an array or an object, got an integer (3)', list(set('"type": 3'))],
    [
      'nftables[0].add.chain.prio',
      'expected an integer, got a string ("0")',
      list('{"add": {"chain": {"family": "ip", "prio": "0"}}}'),
    ],
    ['nftables[0].add', 'expected an object, got null', list('{"add": null}')],
    ['nftables[0].flush.ruleset', 'expected null or an object, got an array', list('{"flush": {"ruleset": []}}')],
    [
      'nftables[0]["ct timeout"].policy.close',
      'expected an integer, got a string ("4")',
      list('{"ct timeout": {"family": "ip", "table": "t", "name": "n", "policy": {"close": "4"}}}'),
    ],
    [
      'nftables[0].counter.packets',
      'expected an integer of at most 64 bits, got one of 21 digits',
      list('{"counter": {"family": "ip", "table": "t", "name": "n", "packets": 184467440737095516160}}'),
    ],
    [
      'nftables[0].table.name',
      'expected a member once, got it twice',
      list('{"table": {"family": "ip", "name": "t", "name": "u"}}'),
    ],
  ])('%s: %s', (path, message, text) => {
    expect(fault(text)).toEqual({ path, message });
  });

  it('shows only the beginning of a long string', () => {
    expect(fault(list(chain(`"prio": "${'x'.repeat(5000)}"`))).message).toBe(
      `expected an integer, got a string ("${'x'.repeat(60)}…")`,
    );
  });
});

describe('a text that is no JSON', () => {
  it.each([
    ['the text is empty: nft printed no document', ''],
    ['the text is empty: nft printed no document', ' \n'],
    ['the text is no JSON: unexpected "E" at offset 0', 'Error: syntax error'],
    ['the text is no JSON: unexpected "]" at offset 16', '{"nftables": [] ]}'],
    ['the text is no JSON: unexpected "{" at offset 16', '{"nftables": []}{"nftables": []}'],
    ['the text is no JSON: unexpected "\'" at offset 1', "{'nftables': []}"],
    ['the text is no JSON: unexpected "}" at offset 16', '{"nftables": [],}'],
    ['the text is no JSON: unexpected "1" at offset 15', '{"nftables": [01]}'],
    ['the text is no JSON: unexpected "N" at offset 14', '{"nftables": [NaN]}'],
    ['the text is no JSON: unexpected "\\n" at offset 16', '{"nftables": ["a\nb"]}'],
    ['the text is no JSON: a bad escape in the string at offset 14', '{"nftables": ["\\x"]}'],
    ['the text is no JSON: unexpected "\ufeff" at offset 0', '\ufeff{"nftables": []}'],
  ])('%s', (message, text) => {
    expect(fault(text)).toEqual({ path: '', message });
  });

  it('is called truncated wherever it was cut', () => {
    const whole = list(
      table,
      chain('"prio": -5, "policy": "accept", "comment": "a \\"quoted\\" one"'),
      rule('{"set": [true, false]}'),
    );
    for (let length = 1; length < whole.length; length++) {
      const { path, message } = fault(whole.slice(0, length));
      expect(path).toBe('');
      expect(message).toMatch(/^the text is truncated: it ends after \d+ characters/);
    }
  });
});
