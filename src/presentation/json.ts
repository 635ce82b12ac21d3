/** The JSON of the contract: one object on standard output, whatever happened. */
import type { Operation, TargetReport } from '../freeze/report';
import type { Failure } from '../platform/failure';

const schema = 'netfreeze/1';

/** @returns the report of an operation as one line of JSON */
export const operationJson = ({ targets, failure, skewMs }: Operation): string => {
  const skew = skewMs === undefined ? {} : { skewMs: toMicroseconds(skewMs) };
  return `${JSON.stringify({ schema, targets: targets.map(rounded), ...skew, ...errorMember(failure) })}\n`;
};

/** @returns what failed before there were any targets to report on */
export const failureJson = (failure: Failure): string =>
  `${JSON.stringify({ schema, targets: [], ...errorMember(failure) })}\n`;

/** @returns any other command's result under the schema's name */
export const resultJson = (result: object): string => `${JSON.stringify({ schema, ...result })}\n`;

function errorMember(failure: Failure | null) {
  if (!failure) return {};
  const { code, exit, message, suggestions } = failure;
  return { error: { code, exit, message, suggestions } };
}

/** The clock tells no more. */
const toMicroseconds = (ms: number): number => Math.round(ms * 1000) / 1000;

function rounded(report: TargetReport): TargetReport {
  if (!report.timings) return report;
  const timings = Object.entries(report.timings).map(([step, ms]) => [step, toMicroseconds(ms)]);
  return { ...report, timings: Object.fromEntries(timings) };
}
