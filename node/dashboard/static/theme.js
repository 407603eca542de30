// Before anything is drawn: the theme this reader chose, so that no page flashes in the other one.
"use strict";
{
  let chosen = "";
  try {
    chosen = localStorage.getItem("lode-theme") ?? "";
  } catch {
    // storage is closed to us: the system's theme will do
  }
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
}
