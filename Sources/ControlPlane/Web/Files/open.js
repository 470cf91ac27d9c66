// Goes on by itself; without scripts, the button does it.
"use strict";
document.querySelector("form[data-submit-at-once]")?.submit();
