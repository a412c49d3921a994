// Where there are no pages.

import type { Page } from "../deliver/model.js";

export const parts: Page | undefined = undefined;
