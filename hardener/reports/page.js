"use strict";
{
  const root = document.documentElement, dark = matchMedia("(prefers-color-scheme: dark)"), theme = document.getElementById("theme");
  theme.hidden = false;
  theme.onclick = () => { root.dataset.theme = (root.dataset.theme ? root.dataset.theme === "dark" : dark.matches) ? "light" : "dark"; };
}
