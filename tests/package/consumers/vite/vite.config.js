// The development server stands before the site's: one origin.

const { SITE_URL } = process.env;

export default {
  server: { host: "127.0.0.1", strictPort: true, proxy: { "/opik": SITE_URL, "/echo": SITE_URL } },
};
