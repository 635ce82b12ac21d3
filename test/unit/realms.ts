/**
 * jest runs tests in a realm of its own, so that what Node throws (a missing file's ENOENT) is no `instanceof Error`
 * there, as it is in the program. Importing this file makes it one again.
 */
import { types } from 'node:util';

Object.defineProperty(Error, Symbol.hasInstance, {
  value(this: unknown, value: unknown): boolean {
    if (this === Error && types.isNativeError(value)) return true;
    return Function.prototype[Symbol.hasInstance].call(this as typeof Error, value);
  },
});
