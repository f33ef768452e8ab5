// Runs before the first paint, so that the theme does not flash.
(function () {
  var root = document.documentElement;
  var theme = null;
  var density = null;
  try {
    theme = localStorage.getItem('trefoil.theme');
    density = localStorage.getItem('trefoil.density');
  } catch (_) { /* storage may be closed to us; the system's theme holds then */ }
  if (theme === 'light' || theme === 'dark') root.setAttribute('data-theme', theme);
  if (theme === 'dark' || (theme !== 'light' && matchMedia('(prefers-color-scheme: dark)').matches)) root.setAttribute('data-dark', '');
  if (density === 'comfortable') root.setAttribute('data-density', density);
})();
