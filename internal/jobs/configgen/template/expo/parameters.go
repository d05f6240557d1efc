package expo

import (
	"encoding/json"
	"slices"

	"github.com/jobyard/jobyard/internal/jobs/configgen/template"
)

type parameters struct {
	Name               string        `json:"name"`
	Slug               string        `json:"slug"`
	Version            string        `json:"version"`
	SDK                int           `json:"sdk"`
	Platforms          []string      `json:"platforms"`
	Scheme             string        `json:"scheme"`
	Owner              string        `json:"owner"`
	Description        string        `json:"description"`
	Orientation        string        `json:"orientation"`
	UserInterfaceStyle string        `json:"user_interface_style"`
	Icon               string        `json:"icon"`
	Splash             *splash       `json:"splash"`
	IOS                *ios          `json:"ios"`
	Android            *android      `json:"android"`
	Web                *web          `json:"web"`
	Plugins            []plugin      `json:"plugins"`
	Dependencies       []string      `json:"dependencies"`
	DevDependencies    []string      `json:"dev_dependencies"`
	Router             bool          `json:"router"`
	TypeScript         bool          `json:"typescript"`
	TypedRoutes        *bool         `json:"typed_routes"`
	ReactCompiler      *bool         `json:"react_compiler"`
	Extra              template.Data `json:"extra"`
	Updates            *updates      `json:"updates"`
	EAS                *eas          `json:"eas"`
	Metro              metro         `json:"metro"`
	Babel              babel         `json:"babel"`
}

func (p parameters) on(platform string) bool { return slices.Contains(p.Platforms, platform) }

type splash struct {
	Image           string `json:"image"`
	ImageWidth      int    `json:"image_width"`
	ResizeMode      string `json:"resize_mode"`
	BackgroundColor string `json:"background_color"`
}

type ios struct {
	BundleIdentifier  string        `json:"bundle_identifier"`
	BuildNumber       string        `json:"build_number"`
	SupportsTablet    *bool         `json:"supports_tablet"`
	InfoPlist         template.Data `json:"info_plist"`
	AssociatedDomains []string      `json:"associated_domains"`
}

type android struct {
	Package            string   `json:"package"`
	VersionCode        int      `json:"version_code"`
	Permissions        []string `json:"permissions"`
	BlockedPermissions []string `json:"blocked_permissions"`
	AdaptiveIcon       *struct {
		ForegroundImage string `json:"foreground_image"`
		BackgroundColor string `json:"background_color"`
	} `json:"adaptive_icon"`
}

type web struct {
	Output  string `json:"output"`
	Favicon string `json:"favicon"`
}

// plugin is a config plugin: its name, or an object with options as well.
type plugin struct {
	Name    string        `json:"name"`
	Options template.Data `json:"options"`
}

// UnmarshalJSON implements json.Unmarshaler for both forms.
func (p *plugin) UnmarshalJSON(raw []byte) error {
	if json.Unmarshal(raw, &p.Name) == nil {
		return nil
	}
	type plain plugin
	return json.Unmarshal(raw, (*plain)(p))
}

type updates struct {
	URL            string `json:"url"`
	RuntimeVersion string `json:"runtime_version"`
}

type eas struct {
	ProjectID        string                          `json:"project_id"`
	CLIVersion       string                          `json:"cli_version"`
	AppVersionSource string                          `json:"app_version_source"`
	Build            template.Ordered[buildProfile]  `json:"build"`
	Submit           template.Ordered[submitProfile] `json:"submit"`
}

type buildProfile struct {
	Extends           string                            `json:"extends"`
	DevelopmentClient *bool                             `json:"development_client"`
	Distribution      string                            `json:"distribution"`
	Channel           string                            `json:"channel"`
	Environment       string                            `json:"environment"`
	AutoIncrement     *bool                             `json:"auto_increment"`
	Node              string                            `json:"node"`
	ResourceClass     string                            `json:"resource_class"`
	Env               template.Ordered[template.Scalar] `json:"env"`
	IOS               *struct {
		Simulator          *bool  `json:"simulator"`
		BuildConfiguration string `json:"build_configuration"`
	} `json:"ios"`
	Android *struct {
		BuildType string `json:"build_type"`
	} `json:"android"`
}

type submitProfile struct {
	Extends string `json:"extends"`
	IOS     *struct {
		AppleID     string `json:"apple_id"`
		AscAppID    string `json:"asc_app_id"`
		AppleTeamID string `json:"apple_team_id"`
	} `json:"ios"`
	Android *struct {
		Track                 string `json:"track"`
		ReleaseStatus         string `json:"release_status"`
		ServiceAccountKeyPath string `json:"service_account_key_path"`
	} `json:"android"`
}

type metro struct {
	AssetExtensions  []string `json:"asset_extensions"`
	SourceExtensions []string `json:"source_extensions"`
	SVG              bool     `json:"svg"`
}

type babel struct {
	Plugins         []string `json:"plugins"`
	JSXImportSource string   `json:"jsx_import_source"`
}
