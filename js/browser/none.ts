// Where there are no pages.

import type { Page } from "./index.js";

export const parts: Page | undefined = undefined;
