import {
  PanelPlugin, ThresholdsMode, cacheFieldDisplayNames, dataLinksOverrideProcessor, displayNameOverrideProcessor,
  getDisplayValueAlignmentFactors, getFieldDisplayValues, identityOverrideProcessor, numberOverrideProcessor, standardEditorsRegistry,
  standardFieldConfigEditorRegistry, standardTransformers, standardTransformersRegistry, thresholdsOverrideProcessor, unitOverrideProcessor,
  valueMappingsOverrideProcessor,
} from '@grafana/data'
import { BarGauge, BigValue, TimeSeries, VizRepeater, useTheme2 } from '@grafana/ui'
import { TableNG } from '@grafana/ui/unstable'
import React from 'react'

const nothing = () => null

function option(id, process, extra = {}) {
  return { id, path: id, name: id, description: id, editor: nothing, override: nothing, process, shouldApply: () => true, settings: {}, category: ['Standard options'], ...extra }
}

// registerOptions tells Grafana's libraries the options and transformations that the application itself would.
export function registerOptions() {
  standardFieldConfigEditorRegistry.setInit(() => [
    option('unit', unitOverrideProcessor),
    option('min', numberOverrideProcessor),
    option('max', numberOverrideProcessor),
    option('fieldMinMax', identityOverrideProcessor),
    option('decimals', numberOverrideProcessor),
    option('displayName', displayNameOverrideProcessor),
    option('color', identityOverrideProcessor, { defaultValue: { mode: 'palette-classic' } }),
    option('noValue', identityOverrideProcessor),
    option('links', dataLinksOverrideProcessor),
    option('actions', dataLinksOverrideProcessor),
    option('mappings', valueMappingsOverrideProcessor, { defaultValue: [] }),
    option('thresholds', thresholdsOverrideProcessor, {
      defaultValue: { mode: ThresholdsMode.Absolute, steps: [{ value: -Infinity, color: 'green' }, { value: 80, color: 'red' }] },
    }),
    option('filterable', identityOverrideProcessor),
  ])
  standardEditorsRegistry.setInit(() => [
    'text', 'number', 'boolean', 'select', 'radio', 'color', 'unit', 'slider', 'stats-picker', 'multi-select', 'mappings', 'thresholds', 'links', 'timezone',
    'dashboard-uid', 'field-color', 'strings', 'actions', 'fieldMinMax',
  ].map((id) => ({ id, name: id, editor: nothing })))
  const transformers = new Map(Object.values(standardTransformers).map((t) => [t.id, t]))
  standardTransformersRegistry.setInit(() => [...transformers.values()].map((t) => ({
    id: t.id, name: t.name, aliasIds: t.aliasIds, description: t.description, editor: nothing, transformation: async () => t,
  })))
}

function Values({ data, fieldConfig, options, replaceVariables, timeZone, width, height, render, grid }) {
  const theme = useTheme2()
  cacheFieldDisplayNames(data.series) // Colours are by name.
  const values = () => getFieldDisplayValues({
    fieldConfig, theme, replaceVariables, timeZone, data: data.series,
    reduceOptions: options.reduceOptions ?? { calcs: ['lastNotNull'] },
    sparkline: options.graphMode !== 'none',
  })
  return (
    <VizRepeater getValues={values} getAlignmentFactors={getDisplayValueAlignmentFactors} renderValue={(v) => render(v, theme)} width={width} height={height}
      source={data} renderCounter={0} orientation={options.orientation ?? 'auto'} autoGrid={grid} itemSpacing={10}
      minVizHeight={options.minVizHeight} maxVizHeight={options.maxVizHeight} />
  )
}

function Stat(props) {
  const { colorMode = 'value', graphMode = 'area', justifyMode = 'auto', textMode = 'auto' } = props.options
  return <Values {...props} grid render={({ value, width, height, count, alignmentFactors }, theme) => (
    <BigValue value={value.display} sparkline={graphMode === 'none' ? undefined : value.sparkline} count={count} colorMode={colorMode} graphMode={graphMode}
      justifyMode={justifyMode} textMode={textMode} alignmentFactors={alignmentFactors} width={width} height={height} theme={theme} />
  )} />
}

function Bars(props) {
  const { displayMode = 'gradient', valueMode = 'color', namePlacement = 'auto', text } = props.options
  return <Values {...props} render={({ value, width, height, orientation, alignmentFactors }, theme) => (
    <BarGauge value={value.display} field={value.field} display={value.view?.getFieldDisplayProcessor?.(value.colIndex ?? 0)} text={text}
      valueDisplayMode={valueMode} displayMode={displayMode} namePlacement={namePlacement} orientation={orientation} alignmentFactors={alignmentFactors} width={width} height={height}
      theme={theme} itemSpacing={10} lcdCellWidth={12} />
  )} />
}

function Graph({ data, timeRange, timeZone, width, height, options }) {
  if (!data.series.length) {
    return <div>No data</div>
  }
  return (
    <TimeSeries frames={data.series} structureRev={data.structureRev} timeRange={timeRange} timeZone={timeZone} width={width} height={height}
      legend={options.legend} options={options}>{nothing}</TimeSeries>
  )
}

function Table({ data, width, height, fieldConfig }) {
  cacheFieldDisplayNames(data.series)
  if (!data.series[0]) {
    return <div>No data</div>
  }
  return (
    <TableNG data={data.series[0]} width={width} height={height} noHeader={false} showTypeIcons={false} resizable initialSortBy={[]}
      fieldConfig={fieldConfig} structureRev={data.structureRev} />
  )
}

// The options of a graph's field, with the defaults that Grafana has.
const graph = {
  drawStyle: 'line', lineInterpolation: 'linear', barAlignment: 0, barWidthFactor: 0.6, lineWidth: 1, fillOpacity: 0, gradientMode: 'none', spanNulls: false,
  insertNulls: false, showPoints: 'auto', showValues: false, pointSize: 5, stacking: { mode: 'none', group: 'A' }, axisPlacement: 'auto', axisLabel: '',
  axisColorMode: 'text', axisBorderShow: false, scaleDistribution: { type: 'linear' }, axisCenteredZero: false,
  hideFrom: { tooltip: false, viz: false, legend: false }, thresholdsStyle: { mode: 'off' },
}

function plugin(id, component, custom = {}) {
  const p = new PanelPlugin(component)
  p.useFieldConfig({
    useCustomConfig: (builder) => {
      for (const [name, defaultValue] of Object.entries(custom)) {
        builder.addCustomEditor({ id: name, path: name, name, defaultValue, editor: nothing, override: nothing, process: identityOverrideProcessor, shouldApply: () => true })
      }
    },
  })
  p.meta = {
    id, name: id, type: 'panel', module: '', baseUrl: '',
    info: { author: { name: '' }, logos: { small: '', large: '' }, version: '', links: [], screenshots: [], updated: '' },
  }
  return p
}

// panels are those that the dashboards have. A dashboard with another one fails.
export const panels = () => ({
  timeseries: plugin('timeseries', Graph, graph),
  stat: plugin('stat', Stat),
  bargauge: plugin('bargauge', Bars),
  table: plugin('table', Table, { align: 'auto', cellOptions: { type: 'auto' }, inspect: false, width: undefined, minWidth: undefined }),
})
