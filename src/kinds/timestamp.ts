/** Milliseconds since the epoch as the API writes times, to the second: `2024-05-01T12:00:00Z`. */
export const timestamp = (ms: number): string => new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');
