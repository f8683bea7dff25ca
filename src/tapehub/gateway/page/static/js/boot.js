// Before the first paint: the reader's choice of light or dark, if there is one.
(() => {
  try {
    const theme = localStorage.getItem("tapehub.theme");
    if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  } catch {
    // Storage is closed to this page: the system's choice holds.
  }
})();
