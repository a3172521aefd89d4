import react from '@vitejs/plugin-react'

export default {
  plugins: [react()],
  define: { 'process.env.NODE_ENV': '"production"' },
  build: { chunkSizeWarningLimit: 99999 },
  resolve: {
    alias: { 'react-router-dom-v5-compat': 'react-router-dom' },
    // Components and scenes find each other by contexts, which are those of one copy.
    dedupe: ['react', 'react-dom', '@grafana/data', '@grafana/runtime', '@grafana/ui'],
  },
}
