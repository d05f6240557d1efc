package configgen

import (
	"github.com/jobyard/jobyard/internal/jobs/configgen/template"
	"github.com/jobyard/jobyard/internal/jobs/configgen/template/compose"
	"github.com/jobyard/jobyard/internal/jobs/configgen/template/dotenv"
	"github.com/jobyard/jobyard/internal/jobs/configgen/template/expo"
	"github.com/jobyard/jobyard/internal/jobs/configgen/template/prometheus"
	"github.com/jobyard/jobyard/internal/jobs/configgen/template/settings"
	"github.com/jobyard/jobyard/internal/jobs/configgen/template/systemd"
	"github.com/jobyard/jobyard/internal/jobs/configgen/template/tsconfig"
	"github.com/jobyard/jobyard/internal/jobs/configgen/template/workflow"
)

// registry lists every version of every template, the newest version of a name
// first. Adding a template is one line here.
func registry() []template.Template {
	return []template.Template{
		expo.Template(),
		compose.Template(),
		prometheus.Template(),
		tsconfig.Template(),
		workflow.Template(),
		dotenv.Template(),
		systemd.Template(),
		settings.Template(),
	}
}
