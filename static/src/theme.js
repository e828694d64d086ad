// Runs before the first paint: the theme the reader chose, or the system's.
{
  const chosen = (document.cookie.match(/(?:^|; )theme=(\w+)/) || [])[1] || "auto";
  const dark = chosen === "dark" || (chosen === "auto" && matchMedia("(prefers-color-scheme: dark)").matches);
  document.documentElement.dataset.bsTheme = dark ? "dark" : "light";
}
