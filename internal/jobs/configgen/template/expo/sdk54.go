package expo

// sdk54 is what fits Expo SDK 54. The facts are those of the default template
// 54.0.64 and, for babel-preset-expo, expo-asset, expo-file-system and
// expo-keep-awake, of the dependencies of the package expo 54.0.37, whose
// bundledNativeModules.json also gave expo-camera. It is not
// the whole list of that SDK: other packages need a version from the caller.
func sdk54() map[string]string {
	return map[string]string{
		"@expo/vector-icons":             "^15.0.3",
		"@react-navigation/bottom-tabs":  "^7.4.0",
		"@react-navigation/elements":     "^2.6.3",
		"@react-navigation/native":       "^7.1.8",
		"@types/react":                   "~19.1.0",
		"babel-preset-expo":              "~54.0.12",
		"eslint":                         "^9.25.0",
		"eslint-config-expo":             "~10.0.0",
		"expo":                           "~54.0.37",
		"expo-asset":                     "~12.0.13",
		"expo-camera":                    "~17.0.10",
		"expo-constants":                 "~18.0.14",
		"expo-file-system":               "~19.0.24",
		"expo-font":                      "~14.0.12",
		"expo-haptics":                   "~15.0.8",
		"expo-image":                     "~3.0.11",
		"expo-keep-awake":                "~15.0.8",
		"expo-linking":                   "~8.0.12",
		"expo-router":                    "~6.0.24",
		"expo-splash-screen":             "~31.0.13",
		"expo-status-bar":                "~3.0.9",
		"expo-symbols":                   "~1.0.8",
		"expo-system-ui":                 "~6.0.9",
		"expo-web-browser":               "~15.0.11",
		"react":                          "19.1.0",
		"react-dom":                      "19.1.0",
		"react-native":                   "0.81.5",
		"react-native-gesture-handler":   "~2.28.0",
		"react-native-reanimated":        "~4.1.1",
		"react-native-safe-area-context": "~5.6.0",
		"react-native-screens":           "~4.16.0",
		"react-native-web":               "~0.21.0",
		"react-native-worklets":          "0.5.1",
		"typescript":                     "~5.9.2",
	}
}
