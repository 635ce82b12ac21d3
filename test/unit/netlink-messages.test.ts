/** Netlink messages: what is put together is taken apart the same, and nothing that arrives is read beyond its end. */
import fc from 'fast-check';
import {
  type Attribute,
  attribute,
  attributes,
  find,
  type Message,
  message,
  messages,
  NLM_F,
  nested,
  stringAttribute,
  textOf,
} from '../../src/netlink/message';

// The same bytes in every run.
fc.configureGlobal({ seed: 1 });

const bytes = (maxLength = 40) => fc.uint8Array({ maxLength }).map((data) => Buffer.from(data));
const type = fc.integer({ min: 0, max: 0x3fff });
const attributeList = fc.array(fc.record({ type, data: bytes() }), { maxLength: 8 });
const built = (list: Attribute[]) => Buffer.concat(list.map((one) => attribute(one.type, one.data)));

describe('attributes', () => {
  test('what is built is found again', () => {
    fc.assert(
      fc.property(attributeList, bytes(20), (list, header) => {
        const all = Buffer.concat([header, built(list)]);
        expect([...attributes(all, header.length)]).toEqual(list);
      }),
    );
  });

  test('each begins at a multiple of four', () => {
    fc.assert(
      fc.property(type, bytes(), (number, data) => {
        const made = attribute(number, data);
        expect(made.length % 4).toBe(0);
        expect(made.length - data.length).toBeGreaterThanOrEqual(4);
        expect(made.length - data.length).toBeLessThan(8);
        expect(made.readUInt16LE(0)).toBe(4 + data.length);
        expect(made.subarray(4 + data.length).every((byte) => byte === 0)).toBe(true);
      }),
    );
  });

  test('the first of its type is found, in the right place', () => {
    fc.assert(
      fc.property(attributeList, type, (list, wanted) => {
        expect(find(built(list), wanted)).toEqual(list.find((one) => one.type === wanted)?.data);
      }),
    );
    expect(find(Buffer.alloc(0), 1)).toBeUndefined();
    expect(find(Buffer.alloc(8), 1, 100)).toBeUndefined();
  });

  test('one in another is found by its type without the flag that says so', () => {
    fc.assert(
      fc.property(type, attributeList, (number, list) => {
        const made = nested(number, built(list));
        expect(made.readUInt16LE(2)).toBe(number | 0x8000);
        expect([...attributes(find(made, number) ?? Buffer.alloc(0))]).toEqual(list);
      }),
    );
  });

  test('a text comes back without its end', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'grapheme' }).filter((text) => !text.includes('\0')),
        (text) => {
          expect(textOf(find(stringAttribute(3, text), 3))).toBe(text);
        },
      ),
    );
    expect(textOf(undefined)).toBe('');
    expect(textOf(Buffer.from('no end'))).toBe('no end');
    expect(textOf(Buffer.from('two\0texts\0'))).toBe('two');
  });

  test('one that is too long for its length field is refused, not cut', () => {
    expect(() => attribute(1, Buffer.alloc(65_532))).toThrow('out of range');
    expect([...attributes(attribute(1, Buffer.alloc(65_531)))]).toHaveLength(1);
  });
});

describe('messages', () => {
  const header = fc.record({
    type: fc.integer({ min: 0, max: 0xffff }),
    flags: fc.integer({ min: 0, max: 0xffff }),
    sequence: fc.integer({ min: 0, max: 0xffffffff }),
  });
  const pieces = fc.tuple(
    header,
    bytes(20).map((own) => own.subarray(0, own.length & ~3)),
    attributeList,
  );

  test('several in one datagram are taken apart', () => {
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 5 }), (list) => {
        const datagram = Buffer.concat(
          list.map(([head, own, attrs]) => message(head.type, head.flags, head.sequence, own, built(attrs))),
        );
        expect([...messages(datagram)]).toEqual(
          list.map(([head, own, attrs]) => ({
            ...head,
            flags: head.flags | NLM_F.REQUEST,
            payload: Buffer.concat([own, built(attrs)]),
          })),
        );
      }),
    );
  });

  test('its bytes stand where linux/netlink.h puts them', () => {
    expect(message(0x0a10, NLM_F.DUMP, 7, Buffer.from([1, 0, 0, 0]), stringAttribute(1, 'ab')).toString('hex')).toBe(
      // length 28, type, flags, sequence, port 0; nfgenmsg; attribute of 7 bytes, padded
      '1c000000' + '100a' + '0103' + '07000000' + '00000000' + '01000000' + '0700' + '0100' + '61620000',
    );
  });
});

describe('whatever arrives', () => {
  /** A walk that takes more steps than there are headers in so many bytes would never end. */
  function walked<Item>(walk: Iterable<Item>, length: number, smallest: number): Item[] {
    const items: Item[] = [];
    for (const item of walk) {
      items.push(item);
      if (items.length > length / smallest) throw new Error('the walk goes on beyond the end');
    }
    return items;
  }
  const inside = (outer: Buffer, inner: Buffer) =>
    inner.length === 0 ||
    (inner.byteOffset >= outer.byteOffset && inner.byteOffset + inner.length <= outer.byteOffset + outer.length);

  function walkAll(datagram: Buffer): void {
    const found: Message[] = walked(messages(datagram), datagram.length, 16);
    for (const { payload } of found) {
      expect(inside(datagram, payload)).toBe(true);
      for (const offset of [0, 4, 12, 16, 20, 1000]) {
        for (const { data } of walked(attributes(payload, offset), payload.length, 4)) {
          expect(inside(payload, data)).toBe(true);
          walked(attributes(data), data.length, 4);
          textOf(data);
        }
      }
    }
  }

  test('any bytes', () => {
    fc.assert(fc.property(bytes(200), walkAll), { numRuns: 500 });
  });

  const whole = Buffer.concat([
    message(1, 0, 1, Buffer.alloc(4), stringAttribute(1, 'table'), nested(2, attribute(1, Buffer.alloc(8)))),
    message(2, 2, 1, Buffer.alloc(16), attribute(3, Buffer.alloc(5))),
  ]);

  test('a datagram that is cut anywhere', () => {
    for (let end = 0; end <= whole.length; end += 1) walkAll(whole.subarray(0, end));
    expect([...messages(whole.subarray(0, whole.length - 1))]).toHaveLength(1);
  });

  test('a datagram with any byte changed', () => {
    for (let at = 0; at < whole.length; at += 1) {
      for (const value of [0, 1, 3, 4, 15, 16, 17, 0x7f, 0x80, 0xff]) {
        const changed = Buffer.from(whole);
        changed[at] = value;
        walkAll(changed);
      }
    }
  });

  test.each([0, 1, 15, 0x7fffffff, 0x80000000, 0xfffffffd, 0xffffffff])(
    'a message that says it is %d bytes long ends the walk',
    (length) => {
      const changed = Buffer.from(whole);
      changed.writeUInt32LE(length, 0);
      expect([...messages(changed)]).toEqual([]);
    },
  );

  test.each([0, 1, 3, 0xffff])('an attribute that says it is %d bytes long ends the walk', (length) => {
    const made = built([
      { type: 1, data: Buffer.alloc(4) },
      { type: 2, data: Buffer.alloc(4) },
    ]);
    made.writeUInt16LE(length, 8);
    expect([...attributes(made)]).toHaveLength(1);
  });
});
