// Colours of services and series. Red is kept for errors.

/** Eight hues, computed for the largest distance under normal and colour-blind sight. */
export const PALETTE = {
  light: ['#5296ef', '#1d49a0', '#5f2808', '#ab8a9f', '#915d87', '#4566d9', '#db772f', '#3b3653'],
  dark: ['#c677ac', '#70fafb', '#7756d0', '#f2e838', '#dfa0e8', '#9f5387', '#a6d7a0', '#8f7ffd'],
};

export const ERROR_COLOR = { light: '#c8102e', dark: '#ff5c5c' };

/** Dashes of the ninth series onward: the same colours, told apart by pattern. */
const DASHES = [[], [8, 4], [2, 3], [10, 3, 2, 3]];

/**
 * @param {number} index
 * @param {'light' | 'dark'} theme
 * @returns {{ color: string, dash: number[] }}
 */
export function series(index, theme) {
  const colors = PALETTE[theme];
  return { color: colors[index % colors.length], dash: DASHES[Math.floor(index / colors.length) % DASHES.length] };
}
