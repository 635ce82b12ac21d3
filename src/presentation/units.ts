/** Times and sizes in units that people read; JSON has them exact. */

/** @returns milliseconds as `12.3 ms`, `4.5 s`, `3 min`, `2 h` */
export function duration(ms: number): string {
  // Each bound is where rounding would fill the unit up to the next one.
  if (ms < 9.95) return `${ms.toFixed(1)} ms`;
  if (ms < 999.5) return `${ms.toFixed(0)} ms`;
  if (ms < 59_950) return `${(ms / 1000).toFixed(1)} s`;
  if (ms < 60_000) return '1 min 0 s';
  if (ms < 3_600_000) return `${Math.floor(ms / 60_000)} min ${Math.floor((ms % 60_000) / 1000)} s`;
  return `${Math.floor(ms / 3_600_000)} h ${Math.floor((ms % 3_600_000) / 60_000)} min`;
}

/** @returns how long ago an ISO 8601 time was */
export const since = (iso: string): string => duration(Math.max(0, Date.now() - Date.parse(iso)));

/** @returns a number of bytes as `123 B`, `4.5 KiB`, … */
export function bytes(count: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = count;
  let unit = 0;
  for (; value >= (unit === 0 ? 1024 : 1023.95) && unit < units.length - 1; unit += 1) value /= 1024;
  return unit === 0 ? `${count} B` : `${value.toFixed(1)} ${units[unit]}`;
}

/** @returns `1 packet`, `2 packets` */
export const times = (count: number, thing: string): string => `${count} ${thing}${count === 1 ? '' : 's'}`;
