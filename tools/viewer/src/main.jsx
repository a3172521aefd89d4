import { EventBusSrv, ThemeContext, createTheme } from '@grafana/data'
import * as i18n from '@grafana/i18n'
import {
  config, setAppEvents, setDataSourceSrv, setPluginImportUtils, setRunRequest, setTemplateSrv,
} from '@grafana/runtime'
import {
  DataSourceVariable, EmbeddedScene, QueryVariable, SceneControlsSpacer, SceneDataTransformer, SceneGridItem, SceneGridLayout, SceneGridRow, SceneQueryRunner,
  SceneRefreshPicker, SceneTimePicker, SceneTimeRange, SceneVariableSet, VariableValueSelectors, VizPanel, sceneGraph,
} from '@grafana/scenes'
import { GlobalStyles } from '@grafana/ui'
import React from 'react'
import { createRoot } from 'react-dom/client'
import { BrowserRouter } from 'react-router-dom'
import { panels, registerOptions } from './panels.jsx'
import { Prometheus, runRequest } from './prometheus.js'

// dashboard: the path of its JSON; theme: dark or light; from, to: its time range; scrape: the interval in seconds.
const asked = new URLSearchParams(location.search)
const theme = createTheme({ colors: { mode: asked.get('theme') } })
const source = new Prometheus(Number(asked.get('scrape')))
const reference = {
  uid: source.uid, type: source.type, name: source.name, isDefault: true, jsonData: {}, meta: { id: 'prometheus', name: 'Prometheus', info: { logos: { small: '' } } },
}

// wire gives Grafana's libraries what the application around them would.
function wire() {
  config.theme2 = theme
  config.featureToggles ??= {}
  setDataSourceSrv({ get: async () => source, getInstanceSettings: () => reference, getList: () => [reference], reload() {}, registerRuntimeDataSource() {} })
  setRunRequest(runRequest)
  const scene = (scoped) => scoped?.__sceneObject && (scoped.__sceneObject.value?.valueOf?.() ?? scoped.__sceneObject.valueOf())
  setTemplateSrv({
    replace: (text, scoped, format) => (scene(scoped) ? sceneGraph.interpolate(scene(scoped), text, scoped, format) : text),
    getVariables: () => [], containsTemplate: () => false, updateTimeRange() {},
  })
  setAppEvents?.(new EventBusSrv())
  registerOptions()
  const known = panels()
  setPluginImportUtils({
    getPanelPluginFromCache: (id) => known[id],
    importPanelPlugin: async (id) => {
      if (!known[id]) {
        throw new Error(`there is no panel of type ${id}`)
      }
      return known[id]
    },
  })
}

function variable(v) {
  switch (v.type) {
    case 'datasource':
      return new DataSourceVariable({ name: v.name, label: v.label, pluginId: v.query })
    case 'query':
      return new QueryVariable({
        name: v.name, label: v.label, datasource: reference, query: v.definition, regex: v.regex, refresh: v.refresh, sort: v.sort, isMulti: v.multi,
        includeAll: v.includeAll, allValue: v.allValue, value: v.current.value,
      })
    default:
      throw new Error(`there is no variable of type ${v.type}`)
  }
}

function panel(p) {
  let data = p.targets?.length && new SceneQueryRunner({
    datasource: { uid: source.uid, type: source.type }, queries: p.targets, maxDataPoints: p.maxDataPoints ?? 300, minInterval: p.interval,
  })
  if (data && p.transformations?.length) {
    data = new SceneDataTransformer({ $data: data, transformations: p.transformations })
  }
  return new SceneGridItem({
    x: p.gridPos.x, y: p.gridPos.y, width: p.gridPos.w, height: p.gridPos.h,
    body: new VizPanel({
      title: p.title, description: p.description, pluginId: p.type, options: p.options, fieldConfig: p.fieldConfig, $data: data || undefined,
      displayMode: p.transparent ? 'transparent' : 'default',
    }),
  })
}

function grid(dashboard) {
  const children = []
  let row
  for (const p of dashboard.panels) {
    if (p.type === 'row') {
      row = new SceneGridRow({ title: p.title, isCollapsed: p.collapsed, y: p.gridPos.y, isCollapsible: true, children: (p.panels ?? []).map(panel) })
      children.push(row)
    } else if (row) {
      row.setState({ children: [...row.state.children, panel(p)] })
    } else {
      children.push(panel(p))
    }
  }
  return new SceneGridLayout({ children, isLazy: false })
}

const dashboard = await (await fetch(asked.get('dashboard'))).json()
document.title = dashboard.title
await i18n.initPluginTranslations?.('viewer')
wire()
const scene = new EmbeddedScene({
  $timeRange: new SceneTimeRange({ from: asked.get('from'), to: asked.get('to'), timeZone: 'utc' }),
  $variables: new SceneVariableSet({ variables: dashboard.templating.list.map(variable) }),
  controls: [new VariableValueSelectors({}), new SceneControlsSpacer(), new SceneTimePicker({}), new SceneRefreshPicker({ refresh: '' })],
  body: grid(dashboard),
})
createRoot(document.getElementById('root')).render(
  <BrowserRouter>
    <ThemeContext.Provider value={theme}>
      <GlobalStyles />
      <div id="dashboard" style={{ background: theme.colors.background.canvas, minHeight: '100%', display: 'flex', flexDirection: 'column' }}>
        <h2 style={{ margin: '8px 16px' }}>{dashboard.title}</h2>
        <scene.Component model={scene} />
      </div>
    </ThemeContext.Provider>
  </BrowserRouter>,
)
